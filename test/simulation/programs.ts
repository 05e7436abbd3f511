/**
 * The programs of a simulation: a server and its clients, as an application would make them of the package.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Limits from "effect-swaggersocket/Limits"
import * as Relay from "effect-swaggersocket/Relay"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { attemptError } from "../../src/internal/client/dialling.ts"
import { stayConnected } from "../../src/internal/client/stayConnected.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { type Acceptor, acceptorOf } from "../../src/internal/server/acceptor.ts"
import { makeEffort } from "./effort.ts"
import type { End, SimulatedLink } from "./link.ts"
import type { Log } from "./log.ts"
import { nobody } from "./loop.ts"
import type { Network } from "./network.ts"
import type { Effort, Plan } from "./plan.ts"
import { Planned, planned } from "./planned.ts"
import type { Process } from "./process.ts"

class Name extends Schema.Class<Name>("simulation/Name")({ name: Schema.Number }) {}

class Hub extends SwaggerSocketServer.Service<Hub, string>()("simulation/Hub", { metadata: Name }) {}

type App = Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest>

/** What each program is made with. */
interface ProgramOptions {
  readonly process: Process
  readonly app: App
  readonly wire: "v1" | "v2"
  readonly limits: Limits.Options
  readonly log: Log
}

export interface ServerOptions extends ProgramOptions {
  readonly onStarted: (server: (typeof Hub)["Service"]) => void
  readonly nextAuthentication: () => Effort
  readonly quotas: Plan["quotas"]
  /** The client to which a request is passed on before the app sees it. */
  readonly destinationOf: (target: string) => number | undefined
  readonly onSameIdentity: Plan["onSameIdentity"]
}

const authenticate = (
  { log, nextAuthentication, process }: ServerOptions,
  { metadata }: { readonly metadata: Name }
): Effect.Effect<string, Handshake.Refusal, Scope.Scope> =>
  Effect.suspend(() => {
    const effort = nextAuthentication()
    log.note(`client ${metadata.name} authenticates: ${effort.delay} ms, ${effort.ends}`)
    const refusal = () => new Handshake.Refusal({ code: "OVERLOADED", reason: planned })
    return Effect.as(makeEffort(effort, process, refusal), `client ${metadata.name}`)
  })

/** Builds a layer in a scope of its own. `leave` closes it, and `onLeft` is told once that is done. */
abstract class Program {
  readonly process: Process
  readonly scope = Scope.makeUnsafe()
  readonly #started = Deferred.makeUnsafe<void>()
  /** Waits until its layer is built. */
  readonly started = Deferred.await(this.#started)
  readonly #left = Deferred.makeUnsafe<void>()
  /** Waits until it begins to leave. */
  readonly left = Deferred.await(this.#left)
  hasLeft = false

  constructor(process: Process) {
    this.process = process
  }

  protected build<A>(layer: Layer.Layer<A>, use: (context: Context.Context<A>) => void): void {
    this.process.fork(Effect.map(Layer.buildWithScope(layer, this.scope), (context) => {
      use(context)
      Deferred.doneUnsafe(this.#started, Effect.void)
    }))
  }

  /** It has left, or was killed. */
  get isGone(): boolean {
    return this.hasLeft || !this.process.isAlive
  }

  leave(): void {
    this.process.tell(() => {
      Deferred.doneUnsafe(this.#left, Effect.void)
      this.process.fork(Scope.close(this.scope, Exit.void)).addObserver(() => {
        this.hasLeft = true
      })
    })
  }
}

export class ServerProgram extends Program {
  server: (typeof Hub)["Service"] | undefined = undefined
  readonly #wire: "v1" | "v2"

  constructor(options: ServerOptions) {
    super(options.process)
    this.#wire = options.wire
    const { onSameIdentity, quotas: { interruptedBytes, memory } = {} } = options
    const hub = Hub.layerNoRoute({
      limits: options.limits,
      quotas: { perPrincipal: { interruptedBytes }, server: { memory } },
      identity: ({ metadata }) => String(metadata.name),
      onSameIdentity,
      authenticate: (client) => authenticate(options, client)
    })
    const api = HttpServer.serve(options.app).pipe(Layer.provide(ApiServer.layerServer(Hub)))
    const relays = Relay.layerServer(Hub, ({ target }) => {
      const client = options.destinationOf(target)
      const connection = client === undefined ? undefined : this.#newestOf(client)
      return connection && { connection }
    })
    const layer = options.wire === "v2" ? Layer.provideMerge(relays, api) : api
    this.build(Layer.provideMerge(layer, hub), (context) => {
      this.server = Context.get(context, Hub)
      options.onStarted(this.server)
    })
  }

  get acceptor(): Acceptor<Name, string> | undefined {
    return this.server && acceptorOf(this.server)
  }

  #newestOf(client: number) {
    return this.acceptor?.connections().findLast(({ metadata }) => metadata.name === client)
  }

  /** A client has dialled. */
  accept(end: End, client: number): void {
    const { acceptor } = this
    if (acceptor === undefined || this.scope.state._tag === "Closed") return end.terminate()
    const upgrade = { headers: Headers.empty, url: "/", remoteAddress: Option.some(`10.0.0.${client}`) }
    const opening = Effect.as(Effect.addFinalizer(() => Effect.sync(() => end.terminate())), end as Link)
    this.process.tell(() => void this.process.fork(acceptor.accept(opening, upgrade, this.#wire)))
  }

  /** The connection of a client that is open. */
  connectionOf(client: number) {
    return Effect.andThen(
      this.started,
      Effect.raceFirst(
        Effect.suspend(() => this.server!.awaitConnection(({ metadata }) => metadata.name === client)),
        // Nobody comes any more.
        Effect.andThen(this.left, Effect.fail(new Planned("the server leaves")))
      )
    )
  }
}

export interface ClientOptions extends ProgramOptions {
  readonly onStarted: (client: (typeof SwaggerSocketClient)["Service"]) => void
  readonly number: number
  readonly nextMetadata: () => Effort
  readonly network: Network
  /** The server that can be reached now. */
  readonly server: () => ServerProgram | undefined
}

export class ClientProgram extends Program {
  readonly number: number
  client: (typeof SwaggerSocketClient)["Service"] | undefined = undefined
  http: HttpClient.HttpClient | undefined = undefined
  /** The link that was opened last. */
  newest: SimulatedLink | undefined = undefined
  readonly #options: ClientOptions

  constructor(options: ClientOptions) {
    super(options.process)
    this.number = options.number
    this.#options = options
    const connected = stayConnected({
      limits: Limits.make(options.limits),
      wire: options.wire,
      attempt: this.#attempt
    })
    const api = HttpServer.serve(options.app).pipe(Layer.provide(ApiServer.layer))
    const layer = Layer.mergeAll(api, ApiClient.layer).pipe(
      Layer.provideMerge(Layer.effect(SwaggerSocketClient, connected))
    )
    this.build(layer, (context) => {
      this.client = Context.get(context, SwaggerSocketClient)
      this.http = Context.get(context, HttpClient.HttpClient)
      options.onStarted(this.client)
    })
  }

  reconnect(): void {
    this.process.tell(() => void this.process.fork(Effect.suspend(() => this.client?.reconnect ?? Effect.void)))
  }

  /** As `SwaggerSocketClient` makes it of `metadata`. */
  get #attempt() {
    const { nextMetadata } = this.#options
    const effort = Effect.suspend(() => makeEffort(nextMetadata(), this.process, () => new Error(planned)))
    return Effect.as(Effect.catchCause(effort, (cause) => Effect.fail(attemptError("metadata", cause))), {
      metadata: { name: this.number },
      encoded: { name: this.number },
      target: "the server",
      link: () => this.#dial()
    })
  }

  #dial() {
    const { network, server } = this.#options
    const { loop } = network
    const opened = Effect.callback<Link, SwaggerSocketError>((resume) => {
      if (network.blocked === "silent") return undefined
      let link: SimulatedLink | undefined = undefined
      const fail = () => resume(Effect.fail(linkFailure("open", "nobody listens")))
      const cancel = loop.after(network.delay(), nobody, () => {
        const far = server()
        if (far === undefined || network.blocked !== undefined) {
          return void loop.after(network.delay(), this.process, fail)
        }
        const opening = link = this.newest = network.open(this.process, far.process)
        network.used++
        far.accept(opening.server, this.number)
        loop.after(network.delay(), this.process, () => {
          network.used++
          resume(Effect.succeed(opening.client as Link))
        })
      })
      return Effect.sync(() => {
        cancel()
        link?.client.terminate()
      })
    })
    return Effect.tap(opened, (link) => Effect.addFinalizer(() => Effect.sync(() => link.terminate())))
  }
}

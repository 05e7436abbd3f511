/**
 * The end that is not played: the chatter service of the examples, or a client of it.
 */
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as NetAddress from "effect/net/NetAddress"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Chatter } from "../../../examples/chatter/api.ts"
import * as Server from "../../../examples/chatter/server.ts"
import { layerMemory, Store } from "../../../examples/chatter/store.ts"

export interface OurServer {
  readonly port: number
  /** Messages that were stored, oldest first. */
  readonly stored: ReadonlyArray<string>
  readonly add: (message: string) => Effect.Effect<unknown>
  readonly stop: Effect.Effect<void>
}

export const startServer: Effect.Effect<OurServer, unknown, Scope.Scope> = Effect.gen(function*() {
  const stored: Array<string> = []
  const StoreLive = Layer.effect(
    Store,
    Effect.map(Store, (store): Store["Service"] => ({
      ...store,
      add: (message) => Effect.tap(store.add(message), () => Effect.sync(() => stored.push(message)))
    }))
  ).pipe(Layer.provide(layerMemory))
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.build(
    Server.layer({ port: 0, host: "127.0.0.1" }).pipe(
      Layer.provideMerge(StoreLive),
      Layer.provide(Logger.layer([]))
    )
  ).pipe(Scope.provide(scope))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    port: Number(new URL(NetAddress.formatUrlUnsafe(address)).port),
    stored,
    add: Context.get(context, Store).add,
    stop: Scope.close(scope, Exit.void)
  }
})

/** A call as it was recorded. */
export interface Made {
  readonly path: string
  /** Of those that an application may choose. */
  readonly headers: Readonly<Record<string, string>>
}

/** What an application has got of a call. */
export class Call {
  readonly values: Array<unknown> = []
  /** `done`, or what went wrong. */
  end: string | undefined = undefined
  readonly #input: Queue.Queue<string, Cause.Done>
  readonly #fiber: Fiber.Fiber<void>

  constructor(client: Client, { path }: Made) {
    this.#input = Effect.runSync(Queue.unbounded())
    const run = callOf(client, path, Stream.fromQueue(this.#input), (value) => this.values.push(value))
    this.#fiber = Effect.runFork(Effect.ignoreCause(Effect.onExit(run, (exit) =>
      Effect.sync(() => {
        this.end = exit._tag === "Success" ? "done" : exit.cause.reasons.map(
          (reason) =>
            reason._tag === "Fail"
              ? describe(reason.error)
              : reason._tag === "Die"
              ? `Die: ${String(reason.defect)}`
              : reason._tag
        ).join()
      }))))
  }

  send(message: string): void {
    Queue.offerUnsafe(this.#input, message)
  }

  finish(): void {
    Queue.endUnsafe(this.#input)
  }

  /** The application wants no more. */
  get leave(): Effect.Effect<void> {
    return Fiber.interrupt(this.#fiber)
  }
}

const describe = (error: unknown): string => {
  const { message } = error as Error
  if (HttpClientError.isHttpClientError(error)) return `${error.reason._tag}: ${message}`
  return `${Predicate.hasProperty(error, "_tag") ? String(error._tag) : "missing_field"}: ${message}`
}

type Client = typeof Chatter extends HttpApi.HttpApi<string, infer Groups> ? StreamingClient.Client<Groups> : never

const callOf = (
  { chatter }: Client,
  path: string,
  payload: Stream.Stream<string>,
  onValue: (value: unknown) => void
): Effect.Effect<void, unknown> => {
  const each = <A, E>(values: Stream.Stream<A, E>) =>
    Stream.runForEach(values, (value) => Effect.sync(() => onValue(value)))
  const { pathname, searchParams } = new URL(path, "http://localhost")
  switch (pathname) {
    case "/login":
      return Effect.map(chatter.login(), onValue)
    case "/echoer":
      return Effect.flatMap(chatter.echoer({ payload }), each)
    case "/listener":
      return chatter.listener({ payload })
    case "/summary":
      return Effect.map(chatter.summary({ payload }), onValue)
    case "/subscribe":
      return Effect.flatMap(chatter.subscribe(), each)
    case "/history": {
      const view = searchParams.get("view")
      return Effect.flatMap(chatter.history({ query: view === null ? {} : { view: view as "tiny" } }), each)
    }
    default:
      return Effect.die(new Error(`no call of ours: ${path}`))
  }
}

export const startCall = (
  port: number,
  made: Made,
  options: StreamingClient.WebSocketOptions
): Effect.Effect<Call, never, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* StreamingClient.makeWebSocket(Chatter, { baseUrl: `http://127.0.0.1:${port}`, ...options })
    return yield* Effect.acquireRelease(Effect.sync(() => new Call(client, made)), (call) => call.leave)
  }).pipe(
    Effect.updateService(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeaders(made.headers))),
    Effect.provide([FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor])
  )

/**
 * `connect`: a client as promises.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as ApiClient from "../ApiClient.ts"
import * as ApiServer from "../ApiServer.ts"
import type * as Connection from "../Connection.ts"
import * as SwaggerSocketClient from "../SwaggerSocketClient.ts"
import { Subscriptions } from "./listening.ts"
import type { Client, ClientEvents, CloseOptions, Connect, PerAttempt } from "./model.ts"
import { build, type Built, checkDrain, checkDuration, disposable, environment, onAbort, run } from "./running.ts"
import { promised, serve } from "./serving.ts"

/** A value for each attempt, as the layers take it. */
export const perAttempt = <A, B>(value: PerAttempt<A>, map: (value: A) => B): SwaggerSocketClient.PerAttempt<B> =>
  typeof value === "function"
    ? Effect.tryPromise({
      try: async (signal) => map(await (value as (signal: AbortSignal) => A | PromiseLike<A>)(signal)),
      catch: (cause) => cause
    })
    : map(value)

/** `connect` with the WebSocket of a platform, and what the platform adds to a client. */
export const makeConnect = (
  webSocket: Layer.Layer<Socket.WebSocketConstructor>,
  ofPlatform: Layer.Layer<never, never, SwaggerSocketClient.SwaggerSocketClient> = Layer.empty
): Connect =>
async (url, options = {}) => {
  const { headers, metadata, signal, timeout, wire } = options
  if (timeout !== undefined) checkDuration("timeout", timeout)
  const built = await build(
    Layer.merge(ApiClient.layer, ofPlatform).pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({
        url: perAttempt(url, String),
        headers: headers && perAttempt(headers, (fields) => fields),
        metadata: perAttempt(metadata, (given) => given),
        wire,
        waitForConnection: timeout ?? true
      })),
      Layer.provide(webSocket),
      Layer.provideMerge(environment(options))
    ),
    signal
  )
  const client = makeClient(built)
  onAbort(signal, client.closed, () => void client.close())
  return client
}

const makeClient = (built: Built<SwaggerSocketClient.SwaggerSocketClient | HttpClient.HttpClient>): Client => {
  const { context } = built
  const effect = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
  const listening = new Subscriptions<ClientEvents>({ status: effect.changes, event: effect.events }, context)
  const ending = new Ending(built, effect, listening)
  const { close } = ending
  return disposable<Client>({
    fetch: ApiClient.toFetch(Context.get(context, HttpClient.HttpClient), context),
    serve: (handler) => serve(ApiServer.layer, ApiServer.fromWebHandler(promised(handler)), built),
    get status() {
      return Effect.runSync(effect.status)
    },
    closed: ending.closed,
    close,
    reconnect: () => void Effect.runForkWith(context)(effect.reconnect),
    on: listening.on,
    once: listening.once,
    off: listening.off,
    effect
  }, close)
}

/** What a client says of its end that was closed while it had no connection. */
const left: Connection.CloseReason = { _tag: "Closed", initiator: "local", code: 1001, reason: "" }

/** How a client ends: it is closed, or stops to dial. */
class Ending {
  readonly closed: Promise<Connection.CloseReason>
  readonly #built: Built<never>
  readonly #client: SwaggerSocketClient.SwaggerSocketClient["Service"]
  readonly #listening: Subscriptions<ClientEvents>
  /** The last connection that there was. */
  #connection: Connection.Connection | undefined
  #isEnding = false
  #resolve!: (reason: Connection.CloseReason) => void

  constructor(
    built: Built<never>,
    client: SwaggerSocketClient.SwaggerSocketClient["Service"],
    listening: Subscriptions<ClientEvents>
  ) {
    this.#built = built
    this.#client = client
    this.#listening = listening
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
    const follow = Stream.runForEach(client.changes, (status) =>
      Effect.sync(() => {
        if (status._tag === "Connected") this.#connection = status.connection
        if (status._tag === "Stopped") void this.#end({ _tag: "Failed", error: status.error })
      }))
    const fiber = Effect.runForkWith(built.context)(follow)
    void this.closed.then(() => fiber.interruptUnsafe())
  }

  readonly close = async ({ drain = true, signal }: CloseOptions = {}): Promise<void> => {
    checkDrain(drain)
    const { context } = this.#built
    const status = Effect.runSync(this.#client.status)
    const connection = status._tag === "Connected" ? status.connection : this.#connection
    // First the client, so that it does not dial another connection while this one drains.
    const ended = this.#end(undefined)
    const closeWithin = (drain: CloseOptions["drain"]) =>
      connection && Effect.runForkWith(context)(connection.close({ drain }))
    if (drain !== true) closeWithin(drain)
    onAbort(signal, ended, () => void closeWithin(false))
    await ended
  }

  /** `failure`: why the client has stopped to dial by itself. */
  #end(failure: Connection.CloseReason | undefined): Promise<unknown> {
    const { context, scope } = this.#built
    // Known before the scope closes: the client stops to dial then, too.
    const isFirst = !this.#isEnding
    this.#isEnding = true
    // Listeners are told of the end before they are forgotten.
    const closing = Effect.andThen(Effect.exit(Scope.close(scope, Exit.void)), Effect.yieldNow)
    if (isFirst) {
      void run(closing, context).then(async () => {
        this.#listening.end()
        this.#resolve(failure ?? await this.#endOfConnection())
      })
    }
    return this.closed
  }

  /** How the connection has ended that this client has closed. */
  async #endOfConnection(): Promise<Connection.CloseReason> {
    const end = this.#connection && await run(this.#connection.closed, this.#built.context)
    return end?._tag === "Closed" && end.initiator === "local" ? end : left
  }
}

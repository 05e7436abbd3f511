/**
 * `serviceWorker`: what pages ask for by their ordinary `fetch` goes over a connection of their service worker.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as ApiClient from "../ApiClient.ts"
import * as Limits from "../Limits.ts"
import { perAttempt } from "../promise/connect.ts"
import type { ConnectOptions, PerAttempt } from "../promise/model.ts"
import { environment } from "../promise/running.ts"
import { SwaggerSocketClient } from "../SwaggerSocketClient.ts"
import * as Client from "../SwaggerSocketClient.ts"
import { answer, type Borrowed } from "./pageRequest.ts"

/**
 * Which requests of pages go over the connection, where the hub is, and what happens while there is no connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceWorkerOptions extends Pick<ConnectOptions, "layer" | "limits" | "metadata"> {
  /** Where to dial: `ws:` or `wss:`, or a path of the worker's own host; or a function that is called anew for each attempt. */
  readonly url: PerAttempt<string | URL>
  /** Whether a request of a page goes over the connection. The others are the browser's, as if there were no service worker. */
  readonly match: (request: Request) => boolean
  /**
   * Whether requests that nobody can have executed go to the network. Default `true`. Otherwise they wait for a connection, as
   * long as `timeout` says, and fail.
   */
  readonly fallback?: boolean | undefined
  /**
   * How long a request waits for the connection: milliseconds, or a text such as `"10 seconds"`. With `fallback` it does not wait
   * once an attempt to connect has failed. Default 3 seconds.
   */
  readonly timeout?: Duration.Input | undefined
  /** How long the connection stays after the last request. Default 20 seconds: browsers stop a worker that is idle for 30. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * Bodies of requests of up to this many bytes are kept until there is an answer, so that the network can have them. Default
   * 1 MiB.
   */
  readonly maxKeptBody?: number | undefined
}

/**
 * What `serviceWorker` has installed.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstalledServiceWorker {
  /** Dials at once, for instance because somebody has logged in: the connection is then of that user. */
  readonly reconnect: () => Promise<void>
  /** Requests of pages are the browser's again. Closes the connection, and resolves when nothing of it is left. */
  readonly close: () => Promise<void>
}

/** The event of a service worker. The library of types for pages does not have it. */
interface FetchEvent extends Event {
  readonly request: Request
  readonly respondWith: (response: Promise<Response>) => void
  readonly waitUntil: (promise: Promise<unknown>) => void
}

/**
 * In the script of a service worker: requests of pages that `match`, such as those of `fetch`, `XMLHttpRequest`, `<img>` and
 * `EventSource`, go over one connection to a hub. The pages know nothing of it. Call it when the script is run first; browsers
 * ignore listeners that are added later.
 *
 * **Details**
 *
 * The connection is dialled for the first request, and closes when none has come for `idleTimeout`. Browsers stop a service
 * worker that has nothing to do, and with it goes its connection; the next request dials anew.
 *
 * Bodies are streams both ways, but Firefox gives a service worker the body of a request only when it is whole. A page that
 * gives up in the middle of an answer interrupts the handler. Before the answer browsers don't tell their service worker: the
 * handler is then interrupted when it has answered. A body that breaks makes the page's reader fail.
 *
 * The network is asked instead only while nothing can have been executed: there is no connection; or the hub has said that it
 * did not process the request, which has no body, or one that was kept (`maxKeptBody`). Any other failure is the page's: a script
 * gets problem details with their `outcome` (502 where it is unknown, else 503), an `EventSource` the end of its events, so that
 * it connects again, and everything else a network error.
 *
 * **Gotchas**
 *
 * A service worker neither sees the cookies of a request nor can it set any: the hub knows who is there by the upgrade of the
 * connection, which has the cookies, or by its metadata. Leave out of `match` whatever sets cookies. The browser's HTTP cache is
 * not asked either. See docs/service-worker.md.
 *
 * Throws a `TypeError` or `RangeError` for options that are none, and where it is called in anything but a service worker.
 *
 * **Example** (Whatever is below /api/)
 *
 * ```ts
 * import { serviceWorker } from "effect-swaggersocket/browser"
 *
 * serviceWorker({
 *   url: "/socket",
 *   match: ({ url }) => url.startsWith(`${location.origin}/api/`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const serviceWorker = (options: ServiceWorkerOptions): InstalledServiceWorker => {
  const { fallback = true, match, maxKeptBody = 1024 * 1024 } = options
  check(options, maxKeptBody)
  const connection = new SharedConnection(options)
  let isToldOfCookies = false
  const answering = {
    borrow: (signal: AbortSignal) => connection.borrow(signal),
    hasFallback: fallback,
    maxKeptBody,
    onCookies: (request: Request, context: Context.Context<never>) => {
      if (isToldOfCookies) return
      isToldOfCookies = true
      logger(context)(Effect.logWarning(
        `the answer of ${
          new URL(request.url).pathname
        } sets cookies, which a service worker can't: leave this address out of \`match\``
      ))
    }
  }
  const listener = (event: Event) => {
    const { request, respondWith, waitUntil } = event as FetchEvent
    // Requests that may only be answered from a cache are the browser's, and so are those of extensions.
    if (!/^https?:/.test(request.url) || request.cache === "only-if-cached" || !match(request)) return
    const { ended, response } = answer(request, answering)
    respondWith.call(event, response)
    waitUntil.call(event, ended)
  }
  addEventListener("fetch", listener)
  return {
    reconnect: () => connection.reconnect(),
    close: () => {
      removeEventListener("fetch", listener)
      return connection.close()
    }
  }
}

const check = ({ layer, limits, match }: ServiceWorkerOptions, maxKeptBody: number): void => {
  if (!("ServiceWorkerGlobalScope" in globalThis)) {
    throw new TypeError("serviceWorker: runs in the script of a service worker; a page registers that script")
  }
  if (typeof match !== "function") {
    throw new TypeError("match: expected a function that answers whether a Request goes over the connection")
  }
  if (!Number.isSafeInteger(maxKeptBody) || maxKeptBody < 0) {
    throw new RangeError(`maxKeptBody: expected a number of bytes, got ${String(maxKeptBody)}`)
  }
  // Else each request would find out. A layer may have other limits, which these go with.
  if (layer === undefined) Limits.make(limits)
}

const logger = (context: Context.Context<never>) => (line: Effect.Effect<void>): void =>
  void Effect.runForkWith(context)(
    Effect.annotateLogs(line, { module: "BrowserSwaggerSocket", method: "serviceWorker" })
  )

/** The client, which there is while requests need it, and for a while after that. */
class SharedConnection {
  readonly #scope = Scope.makeUnsafe()
  readonly #client: RcRef.RcRef<Context.Context<SwaggerSocketClient>, unknown>
  readonly #timeout: Duration.Duration
  readonly #hasFallback: boolean

  constructor(options: ServiceWorkerOptions) {
    const { fallback = true, idleTimeout = "20 seconds", metadata, timeout = "3 seconds", url } = options
    this.#timeout = Duration.fromInputUnsafe(timeout)
    this.#hasFallback = fallback
    const layer = Client.layer({
      url: perAttempt(url, String),
      metadata: perAttempt(metadata, (given) => given),
      wire: "v2"
    }).pipe(
      Layer.provide(Socket.layerWebSocketConstructorGlobal),
      Layer.provideMerge(environment(options)),
      // A request that the hub did not process need not wait for it: there is the network.
      Layer.provideMerge(fallback ? ApiClient.layerRetryPolicy({ schedule: Schedule.recurs(0) }) : Layer.empty)
    )
    this.#client = Effect.runSync(Scope.provide(
      RcRef.make({ acquire: Layer.build(layer), idleTimeToLive: Duration.fromInputUnsafe(idleTimeout) }),
      this.#scope
    ))
  }

  /** Waits for an open connection, which stays until it is released. */
  async borrow(signal: AbortSignal): Promise<Borrowed> {
    const scope = Scope.makeUnsafe()
    const release = () => void Effect.runFork(Scope.close(scope, Exit.void))
    const exit = await Effect.runPromiseExit(
      Effect.flatMap(
        Scope.provide(RcRef.get(this.#client), scope),
        (context) => Effect.map(this.#openConnection(context), (connection) => ({ connection, context, release }))
      ),
      { signal }
    )
    if (Exit.isSuccess(exit)) return exit.value
    const context = Context.empty()
    if (!signal.aborted) logger(context)(Effect.logError("there is no client", exit.cause))
    return { connection: undefined, context, release }
  }

  /** `undefined`: there is none in time, or the last attempt has failed and there is the network. */
  #openConnection(context: Context.Context<SwaggerSocketClient>) {
    return Context.get(context, SwaggerSocketClient).changes.pipe(
      Stream.filter((status) =>
        status._tag === "Connected" || status._tag === "Stopped" ||
        (this.#hasFallback && (status._tag === "Waiting" || status.attempt > 1))
      ),
      Stream.runHead,
      Effect.timeoutOrElse({ duration: this.#timeout, orElse: () => Effect.succeedNone }),
      Effect.map((status) =>
        Option.isSome(status) && status.value._tag === "Connected" ? status.value.connection : undefined
      )
    )
  }

  async reconnect(): Promise<void> {
    await Effect.runPromise(Effect.scoped(Effect.flatMap(
      RcRef.get(this.#client),
      (context) => Context.get(context, SwaggerSocketClient).reconnect
    )))
  }

  async close(): Promise<void> {
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }
}

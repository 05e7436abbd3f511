/**
 * The API role of the client: Effect's `HttpClient` for a connection, for whatever runs on one: `HttpApiClient`, retries,
 * redirects, cookies, and a `fetch` for everything else.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Tracer from "effect/Tracer"
import type * as Connection from "./Connection.ts"
import { execute, relativeHost, transportError } from "./internal/http/clientExchange.ts"
import { own } from "./internal/ownLayer.ts"
import { fullJitter } from "./Reconnection.ts"
import { SwaggerSocketClient } from "./SwaggerSocketClient.ts"
import { isSwaggerSocketError, type SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * How a call that certainly was not processed is repeated: 6 times, with full jitter from 50 milliseconds. It covers a
 * peer that does not serve yet, is full or is going away; the caller's own timeout ends it at any time.
 */
const repetition = fullJitter({ base: "50 millis", cap: Duration.seconds(2) }).pipe(Schedule.upTo({ times: 6 }))

/** The peer, or this end, certainly did nothing with the request, and that can change. */
const isUntouched = (error: HttpClientError.HttpClientError): boolean => {
  const cause: unknown = "cause" in error.reason ? error.reason.cause : undefined
  if (!isSwaggerSocketError(cause)) return false
  const { reason } = cause
  return reason._tag === "ConnectionLost"
    ? reason.outcome !== "unknown"
    : reason._tag === "StreamReset" && reason.outcome !== "unknown" &&
      (reason.code === "REFUSED_STREAM" || reason.code === "NOT_SERVING")
}

/** A body that is a stream may be gone once a part of it was read. */
const isRepeatable = (request: HttpClientRequest.HttpClientRequest): boolean =>
  request.body._tag !== "Stream" && request.body._tag !== "Raw"

const fromConnection = (
  acquire: Effect.Effect<Connection.Connection, SwaggerSocketError>,
  /** Whether `acquire` gives another connection once the last is lost. */
  renews: boolean
): HttpClient.HttpClient => {
  const call = (request: HttpClientRequest.HttpClientRequest, signal?: AbortSignal) => {
    const once = Effect.flatMap(
      Effect.mapError(acquire, (error) => transportError(request, error)),
      (connection) => execute(connection.peer, request, signal)
    )
    if (!isRepeatable(request)) return once
    const mayRepeat = (error: HttpClientError.HttpClientError) => isUntouched(error) && (renews || !isLost(error))
    // Calls that succeed, nearly all of them, don't pay for a schedule: the first failure enters it as it is.
    return Effect.catch(once, (error) => {
      if (!mayRepeat(error)) return Effect.fail(error)
      let failed = true
      const next = Effect.suspend(() => {
        if (!failed) return once
        failed = false
        return Effect.fail(error)
      })
      return Effect.retry(next, { schedule: repetition, while: mayRepeat })
    })
  }
  // Makes a span for each call, which costs more than the call when nobody collects them.
  const traced = HttpClient.make((request, _url, signal) => call(request, signal))
  return HttpClient.makeWith(
    (effect: Effect.Effect<HttpClientRequest.HttpClientRequest>) =>
      Effect.flatMap(
        effect,
        (request) => Effect.withFiber((fiber) => isTraced(fiber.context) ? traced.execute(request) : call(request))
      ),
    (request) => Effect.succeed(withAuthority(request))
  )
}

/** Whether a span would be seen by anybody: a tracer that keeps it, or a parent to pass on to the peer. */
const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer ||
  Context.getOrUndefined(context, Tracer.ParentSpan) !== undefined

/** Paths are enough to name what is called; Effect's clients want whole URLs. */
const withAuthority = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest =>
  request.url.startsWith("/")
    ? HttpClientRequest.makeWith(
      request.method,
      `http://${relativeHost}${request.url}`,
      request.urlParams,
      request.hash,
      request.headers,
      request.body
    )
    : request

const isLost = (error: HttpClientError.HttpClientError): boolean =>
  "cause" in error.reason && isSwaggerSocketError(error.reason.cause) &&
  error.reason.cause.reason._tag === "ConnectionLost"

/**
 * Calls the API that the peer of a connection serves.
 *
 * **Details**
 *
 * URLs may be paths. The authority of a whole URL is sent as the `host` field and is used for nothing else: all calls go
 * to the peer.
 *
 * A request that was certainly not processed is repeated by the client itself: up to 6 times, with jitter from 50
 * milliseconds, unless its body is a stream. Any other failure is the caller's, with an `outcome`; see
 * `SwaggerSocketError.outcomeOf`.
 *
 * **Example** (The hub calls a device)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import type * as Connection from "effect-swaggersocket/Connection"
 *
 * export const temperature = Effect.fnUntraced(function*(device: Connection.Connection) {
 *   const response = yield* ApiClient.make(device).get("/temperature")
 *   return yield* response.json
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <M, P>(connection: Connection.Connection<M, P>): HttpClient.HttpClient =>
  fromConnection(Effect.succeed(connection), false)

/**
 * `HttpClient` for the API that the peer of a connection serves; see `make`.
 *
 * **Example** (A typed client for a device)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpApi from "effect/http-api/HttpApi"
 * import * as HttpApiClient from "effect/http-api/HttpApiClient"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import type * as Connection from "effect-swaggersocket/Connection"
 *
 * class DeviceApi extends HttpApi.make("DeviceApi") {}
 *
 * export const clientOf = (device: Connection.Connection) =>
 *   HttpApiClient.make(DeviceApi).pipe(Effect.provide(ApiClient.layerConnection(device)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConnection = <M, P>(
  connection: Connection.Connection<M, P>
): Layer.Layer<HttpClient.HttpClient> => Layer.succeed(HttpClient.HttpClient, make(connection))

/**
 * `HttpClient` for the API that the server serves on this client's connection.
 *
 * **Details**
 *
 * Calls wait while there is no connection, and go to the next one when theirs is lost before they were sent; the caller's
 * own timeout limits that. They fail at once when the client has stopped dialling.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<HttpClient.HttpClient, never, SwaggerSocketClient> = own(Layer.effect(
  HttpClient.HttpClient,
  Effect.map(SwaggerSocketClient, (client) => fromConnection(client.connection, true))
))

/**
 * A `fetch` on any `HttpClient`, or on a connection: for generated clients and for code that knows nothing of Effect.
 *
 * **Details**
 *
 * It honours `signal`, streams both bodies, and rejects with a `TypeError` whose `cause` is the `HttpClientError`, as
 * `fetch` does for network errors. Redirects are not followed. `runFork` options such as tracing come from `context`.
 *
 * **Example** (An ordinary OpenAPI client)
 *
 * ```ts
 * import createClient from "openapi-fetch"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import type * as Connection from "effect-swaggersocket/Connection"
 *
 * export const clientOf = (device: Connection.Connection) =>
 *   createClient<{}>({ baseUrl: "http://device", fetch: ApiClient.fetch(device) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fetch = (
  target: HttpClient.HttpClient | Connection.Connection,
  context: Context.Context<never> = Context.empty()
): typeof globalThis.fetch => {
  const client = HttpClient.isHttpClient(target) ? target : make(target)
  return async (input, init) => {
    // A path alone is no URL to `Request`.
    const request = new Request(
      typeof input === "string" && input.startsWith("/") ? `http://${relativeHost}${input}` : input,
      withDuplex(init)
    )
    if (request.signal.aborted) throw request.signal.reason
    const exit = await Effect.runPromiseExitWith(context)(
      Effect.map(client.execute(HttpClientRequest.fromWeb(request)), (response) => toWeb(response, request, context)),
      { signal: request.signal }
    )
    if (Exit.isSuccess(exit)) return exit.value
    if (request.signal.aborted) throw request.signal.reason
    const error = Cause.squash(exit.cause)
    throw new TypeError("fetch failed", { cause: error })
  }
}

/** The platform demands to be told that a streaming request body does not wait for the answer's end. */
const withDuplex = (init: RequestInit | undefined): RequestInit | undefined =>
  init?.body instanceof ReadableStream ? { ...init, duplex: "half" } as RequestInit : init

const toWeb = (
  response: HttpClientResponse.HttpClientResponse,
  request: Request,
  context: Context.Context<never>
): Response =>
  HttpServerResponse.toWeb(HttpServerResponse.fromClientResponse(response), {
    withoutBody: request.method === "HEAD",
    context,
    signal: request.signal
  })

/**
 * The API role of the client: Effect's `HttpClient` for a connection, for whatever runs on one: `HttpApiClient`,
 * retries, redirects, cookies, and a `fetch` for everything else.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Connection from "./Connection.ts"
import { fullJitter } from "./internal/client/reconnection.ts"
import { peerOf } from "./internal/connection/peer.ts"
import { execute, notConnected } from "./internal/http/clientExchange.ts"
import { own } from "./internal/http/ownLayer.ts"
import { origin, withWholeUrl } from "./internal/http/requestTarget.ts"
import { make as makeFetch } from "./internal/http/webFetch.ts"
import { isRepeatable } from "./internal/http/webRequest.ts"
import { isTraced } from "./internal/observe/spans.ts"
import { randomId } from "./internal/scheduling/random.ts"
import { SwaggerSocketClient } from "./SwaggerSocketClient.ts"
import { isSwaggerSocketError, type SwaggerSocketError, type SwaggerSocketErrorReason } from "./SwaggerSocketError.ts"

const standard: typeof RetryPolicy.Service = {
  /** Some seconds: enough for a peer that does not serve yet, has too many streams, or goes away. A guess. */
  schedule: fullJitter({ base: "50 millis", cap: Duration.seconds(2) }).pipe(Schedule.upTo({ times: 6 })),
  retryUnknown: () => false
}

/**
 * Which failed calls a client makes again by itself, and when. The default repeats those that were certainly not
 * processed, 6 times, with full jitter from 50 milliseconds up to 2 seconds, and no others.
 *
 * **Example** (The schedule of the default, for every outcome)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const Careless = Layer.effect(
 *   ApiClient.RetryPolicy,
 *   Effect.map(ApiClient.RetryPolicy, (policy) => ({ ...policy, retryUnknown: () => true }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const RetryPolicy: Context.Reference<{
  /** When to repeat, and how often. */
  readonly schedule: Schedule.Schedule<unknown, unknown>
  /** Whether a request may be repeated that the peer may have executed: its outcome is unknown. */
  readonly retryUnknown: (request: HttpClientRequest.HttpClientRequest) => boolean
}> = Context.Reference("effect-swaggersocket/ApiClient/RetryPolicy", { defaultValue: () => standard })

/**
 * Another retry policy for the clients made below this layer.
 *
 * **Details**
 *
 * A call whose connection was lost after it was sent has the outcome *unknown*: the peer may have executed it. It is
 * repeated, on the next connection, only if `retryUnknown` says so of its request; `isIdempotent` is a good answer.
 * Never repeated are bodies that are streams and were begun, and calls whose answer has begun: the reader of that body
 * fails. A call that was repeated and fails in the end keeps the outcome *unknown*, and the caller's own timeout ends
 * it at any time.
 *
 * **Example** (Calls that go on after a lost connection)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as Layer from "effect/Layer"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 *
 * export const Api = ApiClient.layer.pipe(
 *   Layer.provide(ApiClient.layerRetryPolicy({ retryUnknown: ApiClient.isIdempotent }))
 * )
 *
 * // Executed once, if the server keeps what it has answered: `Idempotency`.
 * export const order = Effect.gen(function*() {
 *   const client = ApiClient.withIdempotencyKey(yield* HttpClient.HttpClient)
 *   return yield* client.post("/orders")
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRetryPolicy = (options: {
  /** When to repeat, and how often. Default 6 times, with full jitter from 50 milliseconds up to 2 seconds. */
  readonly schedule?: Schedule.Schedule<unknown, unknown> | undefined
  /** Whether a request may be repeated that the peer may have executed. Default: none may. */
  readonly retryUnknown?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
}): Layer.Layer<never> =>
  Layer.succeed(RetryPolicy, {
    schedule: options.schedule ?? standard.schedule,
    retryUnknown: options.retryUnknown ?? standard.retryUnknown
  })

/**
 * Whether a request may be executed twice: by its method (RFC 9110, section 9.2.2), or because it has an
 * `idempotency-key`, by which the peer can tell that it comes again.
 *
 * **Example** (Only what was made repeatable)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as HttpClientRequest from "effect/http/HttpClientRequest"
 *
 * ApiClient.isIdempotent(HttpClientRequest.put("/valves/7")) // true
 * ApiClient.isIdempotent(HttpClientRequest.post("/orders")) // false
 * ApiClient.isIdempotent(
 *   HttpClientRequest.post("/orders").pipe(HttpClientRequest.setHeader("idempotency-key", "7f3a"))
 * ) // true
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isIdempotent = (request: HttpClientRequest.HttpClientRequest): boolean =>
  /^(?:GET|HEAD|OPTIONS|TRACE|PUT|DELETE)$/.test(request.method) || request.headers[keyField] !== undefined

const keyField = "idempotency-key"

/**
 * Gives each request an `idempotency-key` of its own (draft-ietf-httpapi-idempotency-key-header), a UUID, if neither its
 * method nor a key makes it idempotent. Requests for an upgrade get none.
 *
 * **Gotchas**
 *
 * What repeats requests goes below it: `client.pipe(HttpClient.retry(...), ApiClient.withIdempotencyKey)`. Outside of
 * it, each repetition would be another request with another key.
 *
 * **Example** (Orders that may be repeated)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import type * as Connection from "effect-swaggersocket/Connection"
 *
 * export const order = (shop: Connection.Connection) =>
 *   ApiClient.make(shop).pipe(ApiClient.withIdempotencyKey).post("/orders")
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withIdempotencyKey = <E, R>(client: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
  HttpClient.makeWith(
    (request: Effect.Effect<HttpClientRequest.HttpClientRequest, E, R>) =>
      // The key is drawn before the request is handed on: what repeats the request repeats it with this key.
      Effect.flatMap(
        Effect.flatMap(request, withKey),
        (request) => client.postprocess(Effect.succeed(request))
      ),
    client.preprocess
  )

const withKey = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
  isIdempotent(request) || request.headers.upgrade !== undefined ?
    Effect.succeed(request) :
    Effect.map(randomId, (key) => HttpClientRequest.setHeader(request, keyField, key))

/** What went wrong with the connection, or on it. */
const reasonOf = ({ reason }: HttpClientError.HttpClientError): SwaggerSocketErrorReason | undefined =>
  "cause" in reason && isSwaggerSocketError(reason.cause) ? reason.cause.reason : undefined

const fromConnection = (
  acquire: Effect.Effect<Connection.Connection, SwaggerSocketError>,
  /** Whether `acquire` gives another connection once the last is lost. */
  renews: boolean,
  /** By default that of whoever calls. */
  policyOf: Effect.Effect<typeof RetryPolicy.Service> = RetryPolicy
): HttpClient.HttpClient => {
  const call = (request: HttpClientRequest.HttpClientRequest, signal?: AbortSignal) => {
    const once = Effect.flatMap(
      Effect.mapError(acquire, (error) => notConnected(request, error)),
      (connection) => execute(peerOf(connection), request, signal)
    )
    // The schedule begins with the first failure, so that calls that succeed don't pay for it.
    return Effect.catch(once, (error) =>
      Effect.flatMap(policyOf, (policy) => {
        /** The failure of the last attempt that the peer may have executed. */
        let doubt: HttpClientError.HttpClientError | undefined = undefined
        const mayRepeat = (error: HttpClientError.HttpClientError) => {
          const reason = reasonOf(error)
          if (reason?._tag !== "ConnectionLost" && reason?._tag !== "StreamReset") return false
          if (reason.outcome !== "not-sent" && !isRepeatable(request.body)) return false
          const isUnknown = reason.outcome === "unknown"
          if (isUnknown) doubt = error
          return reason._tag === "ConnectionLost"
            ? renews && (!isUnknown || policy.retryUnknown(request))
            // "not-sent": the peer goes away, and will take no request on this connection any more.
            : (reason.outcome === "not-processed" || (reason.outcome === "not-sent" && renews)) &&
              (reason.code === "REFUSED_STREAM" || reason.code === "NOT_SERVING")
        }
        if (!mayRepeat(error)) return Effect.fail(error)
        let failed = true
        const next = Effect.suspend(() => {
          if (!failed) return once
          failed = false
          return Effect.fail(error)
        })
        return Effect.mapError(
          Effect.retry(next, {
            schedule: policy.schedule,
            while: (failure) => failure === error || mayRepeat(failure)
          }),
          // The last attempt may not have been sent, and an earlier one may have been executed.
          (failure) => doubt ?? failure
        )
      }))
  }
  // `HttpClient.make` makes a span for each call. It costs more than the call itself, so it is used only where spans
  // are collected.
  const traced = HttpClient.make((request, _url, signal) => call(request, signal))
  return HttpClient.makeWith(
    (effect: Effect.Effect<HttpClientRequest.HttpClientRequest>) =>
      Effect.flatMap(
        effect,
        (given) => {
          // `mapRequest` may have made a path of the URL again.
          const request = given.url.startsWith(origin) ? given : withWholeUrl(given)
          return Effect.withFiber((fiber) => isTraced(fiber.context) ? traced.execute(request) : call(request))
        }
      ),
    // The request is completed here: `HttpClient.withScope` keeps a scope for each request object, and looks for the
    // one executed.
    (request) => Effect.succeed(withWholeUrl(request))
  )
}

/**
 * Calls the API that the peer of a connection serves.
 *
 * **Details**
 *
 * URLs may be paths, or relative to the root. The authority of a whole URL is sent as the `host` field and is used for
 * nothing else: all calls go to the peer.
 *
 * A request that was certainly not processed is repeated by the client itself: up to 6 times, with jitter from 50
 * milliseconds; one whose body is a stream only where nothing of it was sent. Any other failure is the caller's, with
 * an `outcome` (PROTOCOL.md, "Outcome of a call"); see `SwaggerSocketError.outcomeOf`. A `layerRetryPolicy` in the
 * context of the call changes that.
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
): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      RetryPolicy,
      (policy) => fromConnection(Effect.succeed(connection), false, Effect.succeed(policy))
    )
  )

/**
 * `HttpClient` for the API that the server serves on this client's connection.
 *
 * **Details**
 *
 * Calls wait while there is no connection, and go to the next one when theirs is lost before they were sent; the
 * caller's own timeout limits that. They fail at once when the client has stopped dialling. What becomes of calls that
 * were sent is up to `layerRetryPolicy`.
 *
 * **Example** (A device asks its hub)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as Layer from "effect/Layer"
 *
 * const Hub = ApiClient.layer.pipe(
 *   Layer.provide(SwaggerSocketClient.layer({ url: "ws://localhost:3000/socket" })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
 * )
 *
 * export const program = HttpClient.get("/time").pipe(
 *   Effect.flatMap((response) => response.text),
 *   Effect.timeout("5 seconds"),
 *   Effect.provide(Hub)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<HttpClient.HttpClient, never, SwaggerSocketClient> = own(Layer.effect(
  HttpClient.HttpClient,
  Effect.zipWith(
    SwaggerSocketClient,
    RetryPolicy,
    (client, policy) => fromConnection(client.connection, true, Effect.succeed(policy))
  )
))

/**
 * A `fetch` on any `HttpClient`, or on a connection: for generated clients and for code that knows nothing of Effect.
 *
 * **Details**
 *
 * It does what the Fetch Standard says. An aborted `signal` rejects with its reason, before the head and behind it. A
 * call that fails, and a body that breaks, reject with a `TypeError` whose `cause` is the `HttpClientError`. Redirects
 * are followed within the same host, up to 20 times; `redirect: "manual"` gives the redirect itself. Bodies in `gzip`
 * and `deflate` are decoded, up to five codings of one. URLs may be paths. Services such as a tracer come from `context`.
 *
 * A body that is in memory is sent with its length, and again where the peer has certainly not processed the request.
 *
 * **Example** (An ordinary OpenAPI client)
 *
 * ```ts
 * import createClient from "openapi-fetch"
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import type * as Connection from "effect-swaggersocket/Connection"
 *
 * export const clientOf = (device: Connection.Connection) =>
 *   createClient<{}>({ baseUrl: "http://device", fetch: ApiClient.toFetch(device) })
 * ```
 *
 * @since 0.1.0
 * @category converting
 */
export const toFetch = (
  target: HttpClient.HttpClient | Connection.Connection,
  context: Context.Context<never> = Context.empty()
): typeof globalThis.fetch => makeFetch(HttpClient.isHttpClient(target) ? target : make(target), context)

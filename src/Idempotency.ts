/**
 * Requests that are executed once, however often they arrive: a caller whose connection was lost repeats its request
 * with the same `idempotency-key`, and gets the answer of the first. For servers; on connections and over plain HTTP.
 *
 * It follows draft-ietf-httpapi-idempotency-key-header: keys (sections 2.1 to 2.3), fingerprints (2.4), enforcement
 * (2.6) and errors (2.7), which are problem details (RFC 9457). Other than there, a request that is repeated while the
 * first is in progress waits for the answer instead of being refused, and a key need not be quoted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as PrimaryKey from "effect/PrimaryKey"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import * as Connection from "./Connection.ts"
import type * as ConnectionEvent from "./ConnectionEvent.ts"
import type * as Handshake from "./Handshake.ts"
import { callerOf } from "./internal/connection/peer.ts"
import { Entries } from "./internal/idempotency/entries.ts"
import * as executeOnce from "./internal/idempotency/executeOnce.ts"
import { Outcome } from "./internal/idempotency/keptAnswers.ts"
import type { OutcomeStore } from "./internal/idempotency/outcomeStore.ts"
import { makeOwnQuotas } from "./internal/quota/ownQuotas.ts"
import * as Quotas from "./Quotas.ts"

/**
 * How much is kept, for how long, and for whom.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The requests whose key counts. Default: those with a method that is not safe. Others pass as if they had none. */
  readonly applies?: ((request: HttpServerRequest.HttpServerRequest) => boolean) | undefined
  /**
   * Who is asking: nobody gets the answers of another scope, and the same key in another scope is another key. It has
   * to be the same when the caller comes back. Default: `defaultScope`.
   */
  readonly scope?: ((request: HttpServerRequest.HttpServerRequest) => Effect.Effect<string>) | undefined
  /**
   * The answers that settle a request. After any other one the key is forgotten, so that the request may be repeated.
   * Default: all, errors as well, except 401 and 429, which say that nothing was done.
   */
  readonly settles?: ((response: HttpServerResponse.HttpServerResponse) => boolean) | undefined
  /** How long an answer is kept after the request has ended. Default 24 hours. */
  readonly timeToLive?: Duration.Input | undefined
  /**
   * What the callers of one address, of one principal and all together may have in memory: `idempotencyKeys` and
   * `idempotencyBytes`; see `Quotas`. Default: those of `Quotas.layer`.
   */
  readonly quotas?: Quotas.Options | undefined
  /**
   * The address of a caller over plain HTTP, for the quotas of addresses. Default: that of its TCP connection. Behind a
   * proxy give `Quotas.forwardedAddress()`. Callers on connections of a server count as that server counts them.
   */
  readonly addressOf?: ((upgrade: Handshake.Upgrade) => string | undefined) | undefined
  /**
   * The principal whose quotas a key counts against, by `Equal.equals`: what authentication has found, for callers could
   * choose whatever else a request says. Default: that of the connection, as its server counts it; none over plain HTTP.
   */
  readonly principalOf?: ((request: HttpServerRequest.HttpServerRequest) => Effect.Effect<unknown>) | undefined
  /**
   * Runs when a quota is used up: for the first time at once, and then once a second for what there was meanwhile. One at
   * a time: an event that is superseded while the hook runs is left out.
   */
  readonly onQuotaExceeded?: ((event: ConnectionEvent.QuotaExceeded) => Effect.Effect<void>) | undefined
  /**
   * Handlers that may go on at once although nobody waits for their answer any more. Beyond that a handler of the
   * principal, or the address, that has the most of them is interrupted. Default 1,000.
   */
  readonly maxUnattended?: number | undefined
  /** Bytes of a body that is kept. Longer answers are passed on, and not kept. Default 256 KiB. */
  readonly maxAnswerSize?: number | undefined
  /**
   * Bytes of a request body of known length that is read into memory before the handler runs, so that it is all there
   * even if the connection is lost. What a handler leaves unread of other bodies is read up to this, to compare it.
   * Default 1 MiB.
   */
  readonly maxRequestSize?: number | undefined
}

/**
 * Wraps a handler, a router or a whole app. An `HttpMiddleware`, and what `HttpRouter.middleware` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Middleware {
  <E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest | Scope.Scope>
}

/**
 * Executes requests that have an `idempotency-key` once.
 *
 * **Details**
 *
 * - The first request with a key is executed in a fiber of this service's own scope: the loss of its connection does
 *   not interrupt it, and its answer waits. What it failed with is an answer as well.
 * - The same request again waits for that answer, and gets it with `idempotency-replayed: true`.
 * - Another request with the same key is answered 422. It is another one if its method, target, content type, length or
 *   body differ. Bodies of any length are compared, by SHA-256, as far as the first one was read: by its handler, and
 *   up to `maxRequestSize` bytes beyond that, which are waited for 10 seconds. The boundary of multipart bodies does
 *   not count.
 * - A key that is no string of visible ASCII, or is longer than 255, is answered 400. So is a key with a request for an
 *   upgrade, which has no answer to keep.
 * - A request that was executed, or may have been, and whose answer was not kept is never executed again: its
 *   repetition is answered 409. So it is with answers longer than `maxAnswerSize` or that broke off, with handlers that
 *   were interrupted, and with errors that were answered to a body which was not read to its end, for that may have
 *   been torn.
 *
 * **Gotchas**
 *
 * Middleware around this also runs for repeated requests: authentication, limits and CORS go there. Middleware that
 * turns failures into answers, or must see each request only once, goes inside. A body of unknown length that a handler
 * reads from the request of its platform (`source`), not from the `HttpServerRequest`, is not compared.
 *
 * **Example** (Around a single handler)
 *
 * ```ts
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 *
 * export const Orders = HttpRouter.use(Effect.fnUntraced(function*(router) {
 *   const once = yield* Idempotency.Idempotency
 *   yield* router.add("POST", "/orders", once(Effect.succeed(HttpServerResponse.text("ordered"))))
 * }))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Idempotency extends Context.Service<Idempotency, Middleware>()("effect-swaggersocket/Idempotency") {}

/**
 * The scope of a request by default: the principal of its connection, and without one its `authorization` and `cookie`
 * fields. It tells callers apart; who pays for what is kept is up to the quotas (`Options.quotas`), as any caller may
 * send other fields each time.
 *
 * **Details**
 *
 * A principal must be a string, a number or have a `PrimaryKey`; with any other, requests with a key die until there is
 * an `Options.scope`. Callers who send neither field share one scope: their keys must be hard to guess, as UUIDs are.
 *
 * **Example** (Keys that count for each tenant)
 *
 * ```ts
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as Effect from "effect/Effect"
 *
 * export const PerTenant = Idempotency.layer({
 *   scope: (request) =>
 *     Effect.map(Idempotency.defaultScope(request), (scope) => `${request.headers["x-tenant"]} ${scope}`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const defaultScope = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string> =>
  Effect.flatMap(Connection.currentOption, (connection) => {
    const principal = Option.isSome(connection) ? connection.value.principal : undefined
    if (principal === undefined) {
      const { authorization = "", cookie = "" } = request.headers
      return Effect.succeed(JSON.stringify(["fields", authorization, cookie]))
    }
    if (typeof principal === "string" || typeof principal === "number") {
      return Effect.succeed(JSON.stringify(["principal", principal]))
    }
    return PrimaryKey.isPrimaryKey(principal)
      ? Effect.succeed(JSON.stringify(["principal", PrimaryKey.value(principal)]))
      : Effect.die(
        new TypeError(
          "Idempotency: the principal is neither a string nor a number and has no PrimaryKey. " +
            "Say who is asking: Idempotency.layer({ scope: (request) => ... })"
        )
      )
  })

const isUnsafe = ({ method }: HttpServerRequest.HttpServerRequest): boolean =>
  method !== "GET" && method !== "HEAD" && method !== "OPTIONS" && method !== "TRACE" && method !== "QUERY"

/** 401 (RFC 9110, section 15.5.2) and 429 (RFC 6585, section 4) say that nothing was done. */
const settlesByDefault = ({ status }: HttpServerResponse.HttpServerResponse): boolean =>
  status !== 401 && status !== 429

/**
 * The middleware, until its scope closes. It keeps answers in memory.
 *
 * **Example** (An app without a router)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as Effect from "effect/Effect"
 * import * as HttpServer from "effect/http/HttpServer"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 *
 * const app = Effect.succeed(HttpServerResponse.text("ordered"))
 *
 * export const Orders = Layer.unwrap(
 *   Effect.map(Idempotency.make(), (once) => HttpServer.serve(once(app)))
 * ).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Middleware, never, Scope.Scope> =>
  makeWith(options, undefined)

/**
 * Keeps answers in memory: they are lost with the process. Provide one to all that serve the same API. Their time to
 * live is counted by a monotonic clock: it makes no difference when the clock of the machine is set.
 *
 * **Example** (An API that may be called again, on connections and over plain HTTP)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * const Orders = HttpRouter.add("POST", "/orders", HttpServerResponse.text("ordered")).pipe(
 *   Layer.provide(Idempotency.middleware.layer)
 * )
 *
 * export const Api = Layer.merge(
 *   HttpRouter.serve(Orders).pipe(Layer.provide(ApiServer.layerServer(Devices))),
 *   HttpRouter.serve(Layer.merge(Orders, Devices.layer({ path: "/socket" })))
 * ).pipe(Layer.provide(Idempotency.layer()))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Idempotency> => Layer.effect(Idempotency, make(options))

/**
 * Keeps answers in a `Persistence`, so that they survive the process: in files or any `KeyValueStore`, Redis or SQL,
 * each with its time to live.
 *
 * **Details**
 *
 * It is written before a handler runs that it does, and afterwards what it answered. Where a restart comes between, the
 * outcome of the request is unknown, and its repetition is answered 409. A store that fails before the handler runs is
 * answered 503, and nothing is executed. Quotas bound only what is in progress; the store keeps the others for
 * their time, a record of up to `maxAnswerSize` and 1 KiB for each key. Bound how many come in that time:
 * `callsPerSecond` of `Quotas`, or a limit of your own around this.
 *
 * **Gotchas**
 *
 * A store belongs to one process at a time: two that get the same key at once would both execute it.
 *
 * **Example** (Answers on disk)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as KeyValueStore from "effect/persistence/KeyValueStore"
 * import * as Persistence from "effect/persistence/Persistence"
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 *
 * export const Durable = Idempotency.layerPersisted({ timeToLive: "7 days" }).pipe(
 *   Layer.provide(Persistence.layerKvs),
 *   Layer.provide(KeyValueStore.layerFileSystem("answers"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPersisted = (
  options: Options & {
    /** The name of the store in the `Persistence`. Default "idempotency". */
    readonly storeId?: string | undefined
  } = {}
): Layer.Layer<Idempotency, never, Persistence.Persistence> =>
  Layer.effect(
    Idempotency,
    Effect.gen(function*() {
      const persistence = yield* Persistence.Persistence
      const store = yield* persistence.make({
        storeId: options.storeId ?? "idempotency",
        timeToLive: () => options.timeToLive ?? defaultTimeToLive
      })
      return yield* makeWith(options, {
        get: (id) =>
          Effect.map(store.get(new Key({ id })), (exit) => exit?._tag === "Success" ? exit.value : undefined),
        set: (id, outcome) => store.set(new Key({ id }), Exit.succeed(outcome)),
        remove: (id) => store.remove(new Key({ id }))
      })
    })
  )

/** The types of the router take no generic function: this one has the type of any app. */
const inRouter = Effect.map(
  Idempotency,
  (once) => (app: Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled>) => once(app)
)

/**
 * Middleware for single routes: those that its `layer` is provided to.
 *
 * **Example** (Orders are executed once, readings as often as they come)
 *
 * ```ts
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 *
 * const Orders = HttpRouter.add("POST", "/orders", HttpServerResponse.text("ordered"))
 * const Readings = HttpRouter.add("POST", "/readings", HttpServerResponse.empty())
 *
 * export const Routes = Layer.merge(Orders.pipe(Layer.provide(Idempotency.middleware.layer)), Readings)
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export const middleware: HttpRouter.Middleware<{
  provides: never
  handles: never
  error: never
  requires: never
  layerError: never
  layerRequires: Idempotency
}> = HttpRouter.middleware(inRouter)

/**
 * Middleware for all routes of the router, as `HttpRouter.cors` is.
 *
 * **Example** (Every route of a router)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as Idempotency from "effect-swaggersocket/Idempotency"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 *
 * export const Orders = HttpRouter.serve(Layer.merge(
 *   HttpRouter.add("POST", "/orders", HttpServerResponse.text("ordered")),
 *   Idempotency.layerGlobal
 * )).pipe(Layer.provide([ApiServer.layer, Idempotency.layer()]))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGlobal: Layer.Layer<never, never, HttpRouter.HttpRouter | Idempotency> = HttpRouter.middleware(
  inRouter,
  { global: true }
)

class Key extends Persistable.Class<{ payload: { id: string } }>()("effect-swaggersocket/Idempotency", {
  primaryKey: ({ id }) => id,
  success: Outcome
}) {}

const defaultTimeToLive = Duration.hours(24)

const makeWith = Effect.fnUntraced(
  function*(options: Options, store: OutcomeStore | undefined): Effect.fn.Return<Middleware, never, Scope.Scope> {
    const { addressOf, maxUnattended = 1000, onQuotaExceeded, principalOf } = options
    const quotas = yield* makeOwnQuotas({
      quotas: Quotas.make(options.quotas, yield* Quotas.Quotas),
      addressOf,
      onQuotaExceeded,
      areNamed: principalOf !== undefined,
      annotations: { module: "Idempotency", method: "make" }
    })
    const partyOf = (request: HttpServerRequest.HttpServerRequest) =>
      Effect.flatMap(Connection.currentOption, (connection) => {
        const caller = Option.isSome(connection) ? callerOf(connection.value) : quotas.arrival(request).client
        return Effect.map(
          principalOf === undefined ? Effect.succeed(caller.principal) : principalOf(request),
          (principal) => quotas.of({ address: caller.address, principal })
        )
      })
    const timeToLive = Duration.toMillis(options.timeToLive ?? defaultTimeToLive)
    return executeOnce.make({
      applies: options.applies ?? isUnsafe,
      entries: new Entries(quotas.server, quotas.process, { maxUnattended, timeToLive }),
      maxAnswerSize: options.maxAnswerSize ?? 256 * 1024,
      maxRequestSize: options.maxRequestSize ?? 1024 * 1024,
      partyOf,
      scope: yield* Effect.scope,
      scopeOf: options.scope ?? defaultScope,
      settles: options.settles ?? settlesByDefault,
      store
    })
  }
)

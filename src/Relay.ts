/**
 * Passing a request on to another connection: a hub that stands between its callers and its devices.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ApiClient from "./ApiClient.ts"
import type * as Connection from "./Connection.ts"
import { type Apps, appsOf, type Peer, peerOf } from "./internal/connection/peer.ts"
import type * as Frame from "./internal/frame/Frame.ts"
import { transportFields, upgradeField } from "./internal/frame/grammar.ts"
import { addApp } from "./internal/http/addApp.ts"
import { asksForUpgrade } from "./internal/http/asksForUpgrade.ts"
import { toFields, toHeaders } from "./internal/http/fields.ts"
import { passedOn as toAnswer } from "./internal/http/passedOn.ts"
import { callingOf, refused, relay } from "./internal/http/relayed.ts"
import { makeRelayingApp } from "./internal/http/relayingApp.ts"
import { ServerRequest } from "./internal/http/serverRequest.ts"
import { splice } from "./internal/http/spliced.ts"
import { leaving } from "./internal/streams/stream.ts"
import { outcomeOf } from "./SwaggerSocketError.ts"
import type { SwaggerSocketServer } from "./SwaggerSocketServer.ts"

/**
 * What is changed in a request before it is passed on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The path and query that the other peer is asked for. Default: those of the request, as middlewares and routers have
   * left them.
   */
  readonly target?: string | undefined
  /** All fields of the request that is passed on. Default: those of the request, `host` included. */
  readonly headers?: Headers.Input | undefined
}

/**
 * Passes the current request on to the peer of a connection, and answers with that peer's response. It is the whole
 * handler of a route, or its end.
 *
 * **When to use**
 *
 * Where a hub stands between a caller and a device. A caller that has a connection itself is joined to the device
 * stream to stream (PROTOCOL.md, "Relays"): bodies flow both ways as they arrive, a reader that stops stops its sender
 * and holds no more memory than two windows have, the priority of the request holds on both connections, and a caller
 * that gives up interrupts the handler of the device. Requests of an ordinary HTTP server are passed on as well, through
 * `ApiClient`.
 *
 * **Details**
 *
 * - An interrupted connection is waited for, as with every call.
 * - Of a request that the device has not seen (its connection has closed, it serves no API, it refuses) a caller on a
 *   connection learns that it was *not processed*, so that `ApiClient` may repeat it. Where the connection to the device
 *   was lost after the request had left, the outcome is *unknown*. A caller over plain HTTP is answered 503 and 502.
 * - A request for an upgrade is passed on, and a 101 joins both directions of the two streams: WebSockets and others work
 *   through the hub. A WebSocket of an ordinary HTTP server is joined to one inside the connection, message by message.
 * - The effect never fails. Middlewares see the device's status and fields, and may change them.
 *
 * **Gotchas**
 *
 * Who may call which device is for the handler to decide. Fields are passed on as they are, `authorization` and `cookie`
 * included: leave out by `headers` what the device must not see. A body is passed on once, and not after a part of it was
 * read.
 *
 * **Example** (Calls to a device by its name)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerRequest from "effect/http/HttpServerRequest"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Option from "effect/Option"
 * import * as Relay from "effect-swaggersocket/Relay"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices, string>()("Devices") {}
 *
 * // GET /devices/pump-7/temperature asks pump-7 for /temperature
 * export const Calls = HttpRouter.add(
 *   "*",
 *   "/devices/:name/*",
 *   Effect.gen(function*() {
 *     const devices = yield* Devices
 *     const { name } = yield* HttpRouter.params
 *     const request = yield* HttpServerRequest.HttpServerRequest
 *     const device = yield* devices.find(({ principal }) => principal === name)
 *     if (Option.isNone(device)) return HttpServerResponse.empty({ status: 404 })
 *     return yield* Relay.to(device.value, { target: request.url.replace(/^\/devices\/[^/]+/, "") })
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category handlers
 */
export const to = <M, P>(
  connection: Connection.Connection<M, P>,
  options: Options = {}
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =>
  // Without a router handlers are not, and the call of whoever gives up would go on.
  Effect.interruptible(Effect.withFiber((fiber) => {
    const request = fiber.context.mapUnsafe.get(
      HttpServerRequest.HttpServerRequest.key
    ) as HttpServerRequest.HttpServerRequest
    const calling = callingOf(request)
    if (calling === undefined) return proxy(connection, request, options, false)
    if (!calling.body.isUntouched) return proxy(connection, request, options, true)
    const far = peerOf(connection)
    if (!far.mayCall(fiber.context)) return Effect.succeed(refused(leaving))
    const fields = fieldsOf(request, options, calling.stream.asksForUpgrade === true && far.mux.upgrades === true)
    if (typeof fields === "string") return Effect.succeed(HttpServerResponse.text(`${fields}\n`, { status: 502 }))
    return relay(calling, far, { method: request.method, target: options.target ?? request.url, fields })
  }))

/** `asksForUpgrade`: the caller asks for one, and the other peer knows upgrades. */
const fieldsOf = (request: HttpServerRequest.HttpServerRequest, { headers }: Options, asksForUpgrade: boolean) => {
  const received = headers === undefined && request instanceof ServerRequest ? request.receivedFields : undefined
  const fields = received ?? toFields(headers === undefined ? request.headers : Headers.fromInput(headers))
  const protocol = request.headers.upgrade
  if (typeof fields === "string" || protocol === undefined) return fields
  const others = fields.filter(([name]) => !transportFields.has(name))
  return asksForUpgrade ? [...others, ["upgrade", protocol] as const] : others
}

/**
 * A request that has arrived, as the route of a relay sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrived<out M = unknown, out P = unknown> {
  /** The connection that it arrived on. */
  readonly connection: Connection.Connection<M, P>
  /** In capitals, such as `GET`. */
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** Its fields, with names in lower case. */
  readonly headers: Headers.Headers
}

/**
 * Where a request is passed on to, and what is changed in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Onward extends Options {
  /** To whose peer it goes. */
  readonly connection: Connection.Connection
}

type Route<M, P> = (arrived: Arrived<M, P>) => Onward | undefined

/** The headers of most requests are not looked at. */
class Request<M, P> implements Arrived<M, P> {
  readonly connection: Connection.Connection<M, P>
  readonly #head: Frame.Request

  constructor(peer: Peer, head: Frame.Request) {
    this.connection = peer as unknown as Connection.Connection<M, P>
    this.#head = head
  }

  get method(): string {
    return this.#head.method
  }

  get target(): string {
    return this.#head.target
  }

  get headers(): Headers.Headers {
    return toHeaders(this.#head.fields)
  }
}

const makeApp = <M, P>(route: Route<M, P>) =>
  makeRelayingApp((peer, stream, request) => {
    const onward = route(new Request(peer, request))
    if (onward === undefined) return undefined
    const { connection, headers, target = request.target } = onward
    const far = peerOf(connection)
    const fields = headers === undefined ? request.fields : toFields(Headers.fromInput(headers))
    if (typeof fields === "string") throw new TypeError(fields)
    const protocol = stream.asksForUpgrade === true
      ? request.fields.find(([name]) => name === upgradeField)
      : undefined
    if (protocol === undefined) return { far, head: { method: request.method, target, fields } }
    const others = fields.filter(([name]) => name !== upgradeField)
    const asking = far.mux.upgrades === true ? [...others, protocol] : others
    return { far, head: { method: request.method, target, fields: asking } }
  })

const layerOf = <M, P, R>(apps: Effect.Effect<Apps, never, R>, route: Route<M, P>): Layer.Layer<never, never, R> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { app, idle } = yield* makeApp(route)
    yield* addApp(yield* apps, app, idle)
  }))

/**
 * Passes requests of a server's clients on before its API sees them: those for which `route` answers a connection.
 *
 * **When to use**
 *
 * Where most requests are passed on as they are. This takes less processor time than `to`: there is no router, no handler and
 * no middleware, so also no log and no span. All else holds as there (PROTOCOL.md, "Relays").
 *
 * **Details**
 *
 * - Requests for which `route` answers `undefined` go to the API that was served before this layer was built, if any.
 *   Build it last: `Layer.provideMerge` it with the API.
 * - `route` runs for each request, so it should do no more than look something up. If it throws, that is logged, and the
 *   caller's request is reset with INTERNAL_ERROR.
 * - Calls count against the quotas of the caller until their answer has been passed on. A drain waits for them as for
 *   those that handlers answer.
 *
 * **Example** (Devices by name, and an API of the hub)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as Relay from "effect-swaggersocket/Relay"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 * import * as Stream from "effect/Stream"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices, string>()("Devices") {}
 *
 * const Relays = Layer.unwrap(Effect.gen(function*() {
 *   const devices = yield* Devices
 *   const byName = new Map<string, Connection.Connection>()
 *   yield* Effect.forkScoped(Stream.runForEach(devices.changes, (connections) =>
 *     Effect.sync(() => {
 *       byName.clear()
 *       for (const connection of connections) byName.set(connection.principal, connection)
 *     })))
 *   // GET /devices/pump-7/temperature asks pump-7 for /temperature
 *   return Relay.layerServer(Devices, ({ target }) => {
 *     const [, name, rest] = /^\/devices\/([^/]+)(.*)/.exec(target) ?? []
 *     const connection = byName.get(name ?? "")
 *     return connection && { connection, target: rest }
 *   })
 * }))
 *
 * const Api = HttpRouter.serve(HttpRouter.add("GET", "/time", HttpServerResponse.text("now"))).pipe(
 *   Layer.provide(ApiServer.layerServer(Devices))
 * )
 *
 * export const Hub = Layer.provideMerge(Relays, Api)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerServer = <I, M, P>(
  server: Context.Service<I, SwaggerSocketServer<M, P>>,
  route: (arrived: Arrived<M, P>) => Onward | undefined
): Layer.Layer<never, never, I> => layerOf(Effect.map(server, appsOf), route)

/**
 * Passes requests that arrive on one connection on, as `layerServer` does for all connections of a server.
 *
 * **Example** (What an agent is asked for goes to another one)
 *
 * ```ts
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as Relay from "effect-swaggersocket/Relay"
 *
 * export const join = (from: Connection.Connection, to: Connection.Connection) =>
 *   Relay.layerConnection(from, () => ({ connection: to }))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConnection = <M, P>(
  connection: Connection.Connection<M, P>,
  route: (arrived: Arrived<M, P>) => Onward | undefined
): Layer.Layer<never> => layerOf(Effect.sync(() => peerOf(connection).apps), route)

/** As an ordinary HTTP proxy does, through the streams of Effect. `isRead`: a handler has the body in memory. */
const proxy = <M, P>(
  connection: Connection.Connection<M, P>,
  request: HttpServerRequest.HttpServerRequest,
  { headers, target = request.url }: Options,
  isRead: boolean
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const client = ApiClient.make(connection)
  const fields = headers === undefined ? request.headers : Headers.fromInput(headers)
  const ordinary = request.modify({ headers: Headers.removeMany(fields, transportFields) })
  const given = HttpServerRequest.toClientRequest(ordinary)
  // The target is sent as it is written. The query, which is kept apart here, would be sent a second time.
  const passedOn = HttpClientRequest.makeWith(
    given.method,
    target,
    UrlParams.empty,
    Option.none(),
    given.headers,
    given.body
  )
  const whole = isRead
    ? Effect.map(request.arrayBuffer, (body) => HttpClientRequest.bodyUint8Array(passedOn, new Uint8Array(body)))
    : Effect.succeed(passedOn)
  const answer = asksForUpgrade(request)
    ? splice(client, request, passedOn)
    : Effect.map(Effect.flatMap(whole, (request) => client.execute(request)), toAnswer)
  return answer.pipe(
    Effect.catch((error) => Effect.succeed(outcomeOf(error) === "unknown" ? lost : notProcessed))
  )
}

const lost = HttpServerResponse.text("The peer was lost; it may have processed the request.\n", { status: 502 })

const notProcessed = HttpServerResponse.text("The peer has not processed the request.\n", { status: 503 })

/**
 * Passing a request on to another connection: a hub that stands between its callers and its devices.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ApiClient from "./ApiClient.ts"
import type * as Connection from "./Connection.ts"
import { peerOf } from "./internal/connection/peer.ts"
import { transportFields } from "./internal/frame/grammar.ts"
import { toFields } from "./internal/http/fields.ts"
import { callingOf, refused, relay } from "./internal/http/relayed.ts"
import { ServerRequest } from "./internal/http/serverRequest.ts"
import { splice } from "./internal/http/spliced.ts"
import { leaving } from "./internal/streams/stream.ts"
import { outcomeOf } from "./SwaggerSocketError.ts"

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
  Effect.withFiber((fiber) => {
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
  })

/** `asksForUpgrade`: the caller asks for one, and the other peer knows upgrades. */
const fieldsOf = (request: HttpServerRequest.HttpServerRequest, { headers }: Options, asksForUpgrade: boolean) => {
  const received = headers === undefined && request instanceof ServerRequest ? request.receivedFields : undefined
  const fields = received ?? toFields(headers === undefined ? request.headers : Headers.fromInput(headers))
  const protocol = request.headers.upgrade
  if (typeof fields === "string" || protocol === undefined) return fields
  const others = fields.filter(([name]) => !transportFields.has(name))
  return asksForUpgrade ? [...others, ["upgrade", protocol] as const] : others
}

/** As an ordinary HTTP proxy does, through the streams of Effect. `isRead`: a handler has the body in memory. */
const proxy = <M, P>(
  connection: Connection.Connection<M, P>,
  request: HttpServerRequest.HttpServerRequest,
  { headers, target = request.url }: Options,
  isRead: boolean
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const client = ApiClient.make(connection)
  const passedOn = HttpClientRequest.setUrl(
    HttpServerRequest.toClientRequest(
      headers === undefined ? request : request.modify({ headers: Headers.fromInput(headers) })
    ),
    target
  )
  const whole = isRead
    ? Effect.map(request.arrayBuffer, (body) => HttpClientRequest.bodyUint8Array(passedOn, new Uint8Array(body)))
    : Effect.succeed(passedOn)
  const answer = request.headers.upgrade === undefined
    ? Effect.map(Effect.flatMap(whole, (request) => client.execute(request)), HttpServerResponse.fromClientResponse)
    : splice(client, request, passedOn)
  return answer.pipe(
    Effect.catch((error) => Effect.succeed(outcomeOf(error) === "unknown" ? lost : notProcessed))
  )
}

const lost = HttpServerResponse.text("The peer was lost; it may have processed the request.\n", { status: 502 })

const notProcessed = HttpServerResponse.text("The peer has not processed the request.\n", { status: 503 })

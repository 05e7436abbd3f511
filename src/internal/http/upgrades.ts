/**
 * Upgrades of requests and responses (PROTOCOL.md, "Upgrades"). Loaded with the first upgrade, so that pages without any don't
 * carry it.
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerError, InternalError, RequestParseError } from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as Socket from "effect/socket/Socket"
import type { Fields } from "../frame/Frame.ts"
import { toFields } from "./fields.ts"
import { IncomingBody } from "./incomingBody.ts"
import { fromRaw, OpenedSocket } from "./rawSocket.ts"
import { openError, RawStream } from "./rawStream.ts"
import type { Asking, Switched } from "./upgradable.ts"
import { maxMessageSize, WebSocketStream } from "./webSocketStream.ts"

/** Fields that the 101 has of its own, or that would speak of a body. */
const reserved: ReadonlySet<string> = new Set(["connection", "upgrade", "content-length", "transfer-encoding"])

const refused = (request: HttpServerRequest.HttpServerRequest, description: string) =>
  Effect.fail(new HttpServerError({ reason: new InternalError({ request, description }) }))

/**
 * The socket that a handler gets for its request. The 101 is sent when its reader is acquired.
 *
 * @internal
 */
export const accept = (
  request: HttpServerRequest.HttpServerRequest,
  exchange: Asking,
  headers: Headers.Headers
): Effect.Effect<Socket.Socket, HttpServerError> =>
  Effect.withFiber((fiber) => {
    const protocol = request.headers.upgrade ?? ""
    const own = Object.keys(headers)
    if (protocol.toLowerCase() !== "websocket") {
      const named = own.find((name) => reserved.has(name))
      if (named !== undefined) return refused(request, `the answer to an upgrade can't set the field ${named}`)
      const fields = toFields(headers)
      if (typeof fields === "string") return refused(request, fields)
      return Effect.succeed(
        new OpenedSocket(() => Effect.map(open(exchange, [["upgrade", protocol], ...fields]), fromRaw))
      )
    }
    // As Effect's own servers.
    if (own.length > 0) return refused(request, "WebSocket upgrades do not support custom response headers")
    if (request.method !== "GET") {
      const description = "a WebSocket is asked for with GET"
      return Effect.fail(new HttpServerError({ reason: new RequestParseError({ request, description }) }))
    }
    const offered = request.headers["sec-websocket-protocol"]?.split(",")[0]!.trim()
    const fields: Fields = offered
      ? [["upgrade", protocol], ["sec-websocket-protocol", offered]]
      : [["upgrade", protocol]]
    const limit = fiber.getRef(HttpIncomingMessage.MaxBodySize)
    const maxSize = limit === undefined ? maxMessageSize : Number(limit)
    return Effect.succeed(
      new OpenedSocket(() => Effect.map(open(exchange, fields), (raw) => new WebSocketStream(raw, maxSize, false)))
    )
  })

/** Sends the 101. @internal */
export const open = (exchange: Asking, fields: Fields): Effect.Effect<RawStream, Socket.SocketError> =>
  Effect.suspend(() => {
    const { mux, stream } = exchange
    if (stream.isClosed) return Effect.fail(openError("the peer has given the request up"))
    if (exchange.isAnswered) return Effect.fail(openError("the request was answered before"))
    if (exchange.raw !== undefined) return Effect.fail(openError("the request was upgraded before"))
    const refused = mux.respond(stream, 101, fields, false)
    if (refused !== undefined) return Effect.fail(openError(refused.reason))
    const raw = new RawStream(mux, stream, new IncomingBody(mux, stream, undefined, false), {
      onLost: () => exchange.onStopSending(),
      onEnd: () => exchange.upgradeEnded()
    })
    stream.handler = raw
    exchange.upgraded(raw)
    return Effect.succeed(raw)
  })

/** The socket of raw bytes that a client gets. @internal */
export class SwitchedSocket extends OpenedSocket {
  readonly open: Effect.Effect<RawStream, Socket.SocketError>

  constructor(open: Effect.Effect<RawStream, Socket.SocketError>) {
    super(() => Effect.map(open, fromRaw))
    this.open = open
  }
}

/** `keepAlive`: the response, which ends its exchange when it is collected. @internal */
export const connect = (exchange: Switched, keepAlive: object): Socket.Socket =>
  new SwitchedSocket(Effect.suspend(() => {
    const { incoming, mux, stream } = exchange
    if (exchange.raw !== undefined) return Effect.fail(openError("the socket was used before"))
    const raw = new RawStream(mux, stream, incoming!, {
      onLost() {},
      onEnd: () => mux.stopReading(stream),
      keepAlive
    })
    stream.handler = raw
    exchange.raw = raw
    return Effect.succeed(raw)
  }))

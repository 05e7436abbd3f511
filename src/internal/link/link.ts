/**
 * One live link, as the connection drives it: messages in by pulling, messages out by calling.
 *
 * Effect's `Socket` reads with back-pressure but its writer does not know how much waits to be sent, so a link adds
 * that from whatever lies below: `bufferedAmount` of a WebSocket, or the TCP socket of an upgraded request.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { RefusalCode } from "../frame/codes.ts"
import { truncate } from "../frame/encoder.ts"
import { awaitStep } from "../scheduling/turn.ts"
import type { Transport } from "./model.ts"
import type { NodeWebSocket, TcpSocket } from "./platformSockets.ts"

/** What users may leave out, and what links of WebSockets have besides. @internal */
export interface Link extends Transport {
  readonly isEmpty: () => boolean
  readonly taken: () => number
  /** The platform does not tell when there is room, so the peer has to be pinged: its pong tells. */
  readonly asks?: boolean
  /** As `terminate`, once what was sent before has left. */
  readonly hangUp: () => void
  /** Bytes of a message that has begun to arrive, where it is no WebSocket. */
  readonly partialBytes?: number
  /** The platform's own objects, where they are known. */
  readonly webSocket?: Socket.WebSocketLike | undefined
  readonly tcp?: TcpSocket | undefined
}

/** Bytes that may wait in the socket (PROTOCOL.md, "Batching"): enough to keep it busy, little to queue behind. @internal */
export const maxBuffered = 128 * 1024

/** RFC 6455 section 5.5: a control frame has 125 bytes, two of them the code. @internal */
export const maxCloseReason = 123

/** Bun's own WebSocket has much of what that of `ws` has, but calls nobody back when a message has left. @internal */
export const isNodeWebSocket = (ws: Socket.WebSocketLike | undefined): ws is NodeWebSocket =>
  Predicate.hasProperty(ws, "on")

/** Hands a message to a WebSocket; answers what went wrong, if anything did. @internal */
export const trySend = (
  ws: Socket.WebSocketLike,
  message: Uint8Array<ArrayBuffer> | string,
  sent?: () => void
): Socket.SocketError | undefined => {
  const node = ws as NodeWebSocket
  try {
    if (node.write !== undefined) node.write(message, sent)
    else if (sent === undefined) ws.send(message)
    else node.send(message, sent)
    return undefined
  } catch (cause) {
    return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
  }
}

/**
 * Waits for the turn of a step of a link. A link in memory does not: tests with a TestClock could not tell when a turn of the event
 * loop comes.
 *
 * @internal
 */
export const awaitStepOf = (link: Pick<Link, "tcp"> | undefined): Effect.Effect<void> =>
  link?.tcp === undefined ? Effect.void : awaitStep

/** Closes a link with the code of a refusal: the peer learns the reason also where no `refuse` message was sent. @internal */
export const closeRefused = (link: Link, error: SwaggerSocketError): void => {
  const reason = error.reason
  if (reason._tag === "HandshakeRefused" && reason.initiator === "local") {
    link.close(RefusalCode[reason.code], truncate(reason.description, maxCloseReason))
  }
}

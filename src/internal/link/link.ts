/**
 * One live WebSocket, as the connection drives it: messages in by pulling, messages out by calling.
 *
 * Effect's `Socket` reads with back-pressure but its writer does not know how much waits to be sent, so a link adds
 * that from whatever lies below: `bufferedAmount` of a WebSocket, or the TCP socket of an upgraded request.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { RefusalCode } from "../frame/codes.ts"
import { truncate } from "../frame/encoder.ts"
import type { NodeWebSocket, TcpSocket } from "./platformSockets.ts"

/** @internal */
export interface Link {
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError>
  /** Hands a message to the socket; answers what went wrong, if anything did. */
  readonly send: (message: Uint8Array<ArrayBuffer> | string) => Socket.SocketError | undefined
  /**
   * More waits to be sent than is good for latency: see `onRoom`. A link that has failed is full for good. Whatever is written
   * to it is lost, and the one who reads it is told why it has ended.
   */
  readonly isFull: () => boolean
  /** Nothing waits to be sent, so the link holds no message any more. */
  readonly isEmpty: () => boolean
  /** Grows as the platform takes bytes that wait. A full link whose number stands still takes nothing. */
  readonly taken: () => number
  /** What is sent in between leaves in one piece, where the platform can do that. */
  readonly cork?: (() => void) | undefined
  readonly uncork?: (() => void) | undefined
  /** Calls back once when a full link has room again. */
  readonly onRoom: (resume: () => void) => void
  /** The platform does not tell when there is room, so the peer has to be pinged: its pong tells. */
  readonly asks?: boolean
  /** Starts the closing handshake; the pull then fails. */
  readonly close: (code: number, reason: string) => void
  /** Drops the socket without a close frame, where the platform can. */
  readonly terminate: () => void
  /** As `terminate`, once what was sent before has left. */
  readonly hangUp: () => void
  /** Absent where the platform has none. */
  readonly controls: Controls | undefined
  /** The platform's own objects, where they are known. */
  readonly webSocket?: Socket.WebSocketLike | undefined
  readonly tcp?: TcpSocket | undefined
  /** Whether the socket is one of TLS, as far as this end knows. Absent: it is not. */
  readonly isSecure?: boolean | undefined
}

/** Pings and pongs of the WebSocket itself (RFC 6455 section 5.5). Pings of the peer are answered by the platform. @internal */
export interface Controls {
  readonly ping: (data: Uint8Array) => void
  readonly listen: (onPing: (data: Uint8Array) => void, onPong: (data: Uint8Array) => void) => void
}

/** Bytes that may wait in the socket (PROTOCOL.md, "Batching"): enough to keep it busy, little to queue behind. @internal */
export const maxBuffered = 128 * 1024

/** RFC 6455 section 5.5: a control frame has 125 bytes, two of them the code. @internal */
export const maxCloseReason = 123

/** @internal */
export const isNodeWebSocket = (ws: Socket.WebSocketLike): ws is NodeWebSocket => Predicate.hasProperty(ws, "terminate")

/** @internal */
export const controlsOf = (ws: NodeWebSocket | undefined): Controls | undefined =>
  ws && {
    ping: (data) => ws.ping(data),
    listen(onPing, onPong) {
      ws.on("ping", onPing)
      ws.on("pong", onPong)
    }
  }

/** Hands a message to a WebSocket; answers what went wrong, if anything did. @internal */
export const trySend = (
  ws: Socket.WebSocketLike,
  message: Uint8Array<ArrayBuffer> | string,
  sent?: () => void
): Socket.SocketError | undefined => {
  try {
    if (sent === undefined) ws.send(message)
    else (ws as NodeWebSocket).send(message, sent)
    return undefined
  } catch (cause) {
    return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
  }
}

/** Closes a link with the code of a refusal: the peer learns the reason also where no `refuse` message was sent. @internal */
export const closeRefused = (link: Link, error: SwaggerSocketError): void => {
  const reason = error.reason
  if (reason._tag === "HandshakeRefused" && reason.initiator === "local") {
    link.close(RefusalCode[reason.code], truncate(reason.description, maxCloseReason))
  }
}

/**
 * What links need of WebSockets beyond Effect's `Socket`, which shows their messages only: pings, text that is no UTF-8, and
 * limits for the size of messages. The platform fills these maps.
 */
import type * as Socket from "effect/socket/Socket"

/** What `ws` offers beyond the WebSocket of browsers. @internal */
export interface NodeWebSocket extends Socket.WebSocketLike {
  send(data: string | Uint8Array<ArrayBuffer>, sent?: () => void): void
  binaryType: string
  /** Bytes that wait in the WebSocket and in its TCP socket. */
  readonly bufferedAmount: number
  ping(data: Uint8Array): void
  on(event: "ping" | "pong", listener: (data: Uint8Array) => void): unknown
  /** The server's answer, before `open`. With a listener for `unexpected-response`, a refusal is not reported as an error. */
  on(event: "upgrade", listener: (response: HttpAnswer) => void): unknown
  on(event: "unexpected-response", listener: (request: unknown, response: HttpAnswer) => void): unknown
  terminate(): void
  /** As `send`, but faster. Only WebSockets of this package have it. */
  write?(message: string | Uint8Array<ArrayBuffer>, sent?: () => void): void
  /** Changes how many bytes a message may have, 0 for any number. Only WebSockets of this package have it. */
  limitPayload?(bytes: number): void
}

/** The part of Node's `http.IncomingMessage` that is used. @internal */
export interface HttpAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown
  on(event: "end" | "error" | "close", listener: () => void): unknown
  destroy(): void
}

/** The part of Node's `net.Socket` that is used. @internal */
export interface TcpSocket {
  write(chunk: string | Uint8Array, ...rest: ReadonlyArray<unknown>): boolean
  readonly writableLength: number
  readonly writableHighWaterMark: number
  readonly bytesRead: number
  /** Bytes that were written, those that wait included. Absent where the socket is not one of `node:net`. */
  readonly bytesWritten?: number | undefined
  /** It has failed, or was closed at once. */
  readonly destroyed: boolean
  /** Whether nothing is read from it now. */
  isPaused(): boolean
  /** Holds back what is written until `uncork`. */
  cork(): void
  uncork(): void
  once(event: "drain" | "close", listener: () => void): void
  on(event: "data", listener: (chunk: Uint8Array) => void): void
  removeListener(event: "data", listener: (chunk: Uint8Array) => void): void
  removeAllListeners(event: "data"): void
  destroy(): void
  /** Destroys it once what was written has left. */
  destroySoon(): void
}

/** By their TCP socket; filled by the platform. @internal */
export const upgraded: WeakMap<object, NodeWebSocket> = new WeakMap()

/** WebSockets of wire v1, or their TCP sockets, for the platform to know before they open. @internal */
export const ofWireV1: WeakSet<object> = new WeakSet()

/**
 * WebSockets of wire v1 that have stopped reading at the last message of the handshake; the function makes one go on. The
 * client takes itself for connected by then and sends requests, while the server has not decided yet who it is.
 *
 * @internal
 */
export const heldBack: WeakMap<object, () => void> = new WeakMap()

/** What is below a WebSocket. @internal */
export interface Below {
  readonly tcp: TcpSocket
  /** A number that grows with every byte that the operating system takes of the socket. */
  readonly takenBy: (tcp: TcpSocket) => number
}

/** By their WebSocket; filled by the platform. @internal */
export const sockets: WeakMap<object, Below> = new WeakMap()

/** How many bytes a WebSocket holds of a message that has begun to arrive; filled by the platform. @internal */
export const partials: WeakMap<object, () => number> = new WeakMap()

/** How many bytes a message of a WebSocket, or of its TCP socket, may have, where that is not the platform's default. @internal */
export const maxPayloads: WeakMap<object, number> = new WeakMap()

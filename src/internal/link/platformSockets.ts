/**
 * What the platform and links tell each other of WebSockets: Effect's `Socket` shows their messages only, and what speaks
 * on them may need their pings, text that is no text, or a limit of its own.
 */
import type * as Socket from "effect/socket/Socket"

/** What `ws` offers beyond the WebSocket of browsers. @internal */
export interface NodeWebSocket extends Socket.WebSocketLike {
  send(data: string | Uint8Array<ArrayBuffer>, sent?: () => void): void
  binaryType: string
  /** Bytes that wait in it and in its TCP socket. */
  readonly bufferedAmount: number
  ping(data: Uint8Array): void
  on(event: "ping" | "pong", listener: (data: Uint8Array) => void): unknown
  /** The server's answer, before `open`; with a listener for the second, a refusal is no error. */
  on(event: "upgrade", listener: (response: HttpAnswer) => void): unknown
  on(event: "unexpected-response", listener: (request: unknown, response: HttpAnswer) => void): unknown
  terminate(): void
  /** Changes how many bytes of a message it accepts, 0 for any; where it is one of this package's. */
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
  /** What was written, with what waits. Absent where the socket is not of `net`. */
  readonly bytesWritten?: number | undefined
  /** It has failed, or was closed at once. */
  readonly destroyed: boolean
  /** Whether what comes is left to wait. */
  isPaused(): boolean
  /** Holds back what is written until `uncork`. */
  cork(): void
  uncork(): void
  once(event: "drain" | "close", listener: () => void): void
  on(event: "data", listener: (chunk: Uint8Array) => void): void
  removeListener(event: "data", listener: (chunk: Uint8Array) => void): void
  removeAllListeners(event: "data"): void
  destroy(): void
  /** Once what was written has left. */
  destroySoon(): void
}

/** By their TCP socket; filled by the platform. @internal */
export const upgraded: WeakMap<object, NodeWebSocket> = new WeakMap()

/** WebSockets of wire v1, or their TCP sockets, for the platform to know before they open. @internal */
export const ofWireV1: WeakSet<object> = new WeakSet()

/**
 * WebSockets of wire v1 that read nothing more from the last message of the handshake on, until what is here is called: the
 * client takes itself for connected and sends requests, and nobody has decided yet who it is. Filled by the platform.
 *
 * @internal
 */
export const heldBack: WeakMap<object, () => void> = new WeakMap()

/** The TCP sockets of WebSockets; filled by the platform. @internal */
export const sockets: WeakMap<object, TcpSocket> = new WeakMap()

/** Bytes of a message that a WebSocket accepts, or its TCP socket, where that is not the platform's; known before it opens. @internal */
export const maxPayloads: WeakMap<object, number> = new WeakMap()

/**
 * What the platform and links tell each other of WebSockets: Effect's `Socket` shows their messages only, and wire v1 needs
 * their pings, and text that is no text.
 */
import type * as Socket from "effect/socket/Socket"

/** What `ws` offers beyond the WebSocket of browsers. @internal */
export interface NodeWebSocket extends Socket.WebSocketLike {
  send(data: string | Uint8Array<ArrayBuffer>, sent?: () => void): void
  ping(data: Uint8Array): void
  on(event: "ping" | "pong", listener: (data: Uint8Array) => void): unknown
  terminate(): void
}

/** The part of Node's `net.Socket` that is used. @internal */
export interface TcpSocket {
  readonly writableLength: number
  once(event: "drain", listener: () => void): void
  destroy(): void
  /** Once what was written has left. */
  destroySoon(): void
}

/** By their TCP socket; filled by the platform. @internal */
export const upgraded: WeakMap<object, NodeWebSocket> = new WeakMap()

/** WebSockets of wire v1, or their TCP sockets, for the platform to know before they open. @internal */
export const ofWireV1: WeakSet<object> = new WeakSet()

/** The TCP sockets of WebSockets; filled by the platform. @internal */
export const sockets: WeakMap<object, TcpSocket> = new WeakMap()

/**
 * Tells a `RuntimeWebSocket` what happens to a WebSocket that has events as those of pages have.
 */
import * as Predicate from "effect/Predicate"
import * as CloseCode from "../frame/CloseCode.ts"
import type { RuntimeSocket, RuntimeWebSocket } from "./runtimeWebSocket.ts"

/** A WebSocket as the web has it, on the end that has accepted it. @internal */
export interface EventWebSocket {
  readonly readyState: number
  send(message: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
  addEventListener(type: "open", listener: () => void): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void
  addEventListener(type: "error", listener: (event: unknown) => void): void
}

const [open, closed] = [1, 3]

/**
 * What a WebSocket of Workers is to be given: that sends the bytes as they are when they leave, and not as they were when it was given
 * them (workerd of April 2026).
 *
 * @internal
 */
export const copied = (message: string | Uint8Array<ArrayBuffer>): string | Uint8Array<ArrayBuffer> =>
  Predicate.isString(message) ? message : message.slice()

const socketOf = (socket: EventWebSocket): RuntimeSocket => ({
  send: (message) => socket.send(message),
  close(code, reason) {
    // A runtime may throw for one that is closed already.
    if (socket.readyState <= open) socket.close(code, reason)
  },
  bufferedAmount: () => Predicate.hasProperty(socket, "bufferedAmount") ? Number(socket.bufferedAmount) : undefined
})

/** To be called before the first event. @internal */
export const followEvents = (socket: EventWebSocket, webSocket: RuntimeWebSocket): void => {
  if ("binaryType" in socket) socket.binaryType = "arraybuffer"
  const own = socketOf(socket)
  socket.addEventListener("message", ({ data }) => webSocket.received(data))
  socket.addEventListener("close", ({ code, reason }) => {
    // Workers does not answer the close frame of a client by itself.
    if (socket.readyState !== closed) socket.close(CloseCode.NORMAL)
    webSocket.closed(code, reason)
  })
  socket.addEventListener(
    "error",
    (event) => webSocket.failed(Predicate.hasProperty(event, "error") ? event.error : event)
  )
  if (socket.readyState === open) webSocket.opened(own)
  else socket.addEventListener("open", () => webSocket.opened(own))
}

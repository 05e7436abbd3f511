/**
 * Bounds the bytes that a client of wire v2 may send before it has been authenticated: messages, fragments and pings together.
 * Wire v1 has a rule of its own, because its clients send requests before they are welcomed.
 *
 * Bytes are counted at the TCP socket, because a WebSocket does not tell of a message before it is complete.
 */
import { constVoid } from "effect/Function"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Wire } from "../handshake/wire.ts"
import { isNodeWebSocket } from "../link/link.ts"
import type { NodeWebSocket, TcpSocket } from "../link/platformSockets.ts"
import { refused } from "../link/refusal.ts"

/** Bytes for the headers of WebSocket frames and a few pings. A guess. */
const overhead = 4096

/** @internal */
export class HandshakeBytes {
  /** Absent where nothing is counted. */
  readonly #tcp: TcpSocket | undefined
  readonly #webSocket: NodeWebSocket | undefined
  readonly #limits: Limits
  readonly #onExceeded: (error: SwaggerSocketError) => void
  #left: number

  constructor(
    { link: { tcp, webSocket }, name }: Wire,
    limits: Limits,
    onExceeded: (error: SwaggerSocketError) => void
  ) {
    this.#limits = limits
    this.#onExceeded = onExceeded
    this.#left = limits.maxHandshakeSize + overhead
    if (name === "v1" || tcp === undefined) return
    this.#tcp = tcp
    if (isNodeWebSocket(webSocket)) this.#webSocket = webSocket
    tcp.on("data", this.#count)
    // No limit in the WebSocket, which would close the link: here a hello that is too large is refused with a reason.
    this.#webSocket?.limitPayload?.(0)
  }

  readonly #count = (chunk: Uint8Array): void => {
    this.#left -= chunk.length
    if (this.#left >= 0) return
    // Further bytes are dropped while the link is closed, which takes a while.
    this.#tcp!.removeAllListeners("data")
    this.#tcp!.on("data", constVoid)
    this.#onExceeded(refused("local", "HANDSHAKE_INVALID", `more than ${this.#limits.maxHandshakeSize} bytes`))
  }

  /** The client has been authenticated. */
  release(): void {
    this.#tcp?.removeListener("data", this.#count)
    this.#webSocket?.limitPayload?.(Math.max(this.#limits.maxMessageSize, this.#limits.maxHandshakeSize))
  }
}

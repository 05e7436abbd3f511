/**
 * Bounds what a client of wire v2 may send before it has been authenticated, whatever it sends: a message, fragments of one,
 * pings. Wire v1 has a rule of its own, because its clients don't wait to be welcomed.
 *
 * The TCP socket is what tells: a WebSocket says nothing of a message before it is complete.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Wire } from "../handshake/wire.ts"
import { isNodeWebSocket } from "../link/link.ts"
import type { NodeWebSocket, TcpSocket } from "../link/platformSockets.ts"
import { refused } from "../link/refusal.ts"

/** For the headers of WebSocket frames, and a few pings. */
const overhead = 4096

/** @internal */
export class HandshakeBytes {
  /** Absent where nothing is counted. */
  readonly #tcp: TcpSocket | undefined
  readonly #webSocket: NodeWebSocket | undefined
  readonly #limits: Limits
  readonly #exceeded: Deferred.Deferred<never, SwaggerSocketError> = Deferred.makeUnsafe()
  #left: number

  constructor({ link: { tcp, webSocket }, name }: Wire, limits: Limits) {
    this.#limits = limits
    this.#left = limits.maxHandshakeSize + overhead
    if (name === "v1" || tcp === undefined) return
    this.#tcp = tcp
    if (webSocket !== undefined && isNodeWebSocket(webSocket)) this.#webSocket = webSocket
    tcp.on("data", this.#count)
    // Any, so that what is too large is refused in words; here it is counted while it arrives.
    this.#webSocket?.limitPayload?.(0)
  }

  readonly #count = (chunk: Uint8Array): void => {
    this.#left -= chunk.length
    if (this.#left >= 0) return
    // What else comes is dropped: closing in good order takes a while, and nothing is waited for any more.
    this.#tcp!.removeAllListeners("data")
    this.#tcp!.on("data", constVoid)
    Deferred.doneUnsafe(
      this.#exceeded,
      Effect.fail(refused("local", "HANDSHAKE_INVALID", `more than ${this.#limits.maxHandshakeSize} bytes`))
    )
  }

  /** Fails, and interrupts a step of the handshake, as soon as there is too much. */
  guard<A, E>(step: Effect.Effect<A, E>): Effect.Effect<A, E | SwaggerSocketError> {
    return this.#tcp === undefined ? step : Effect.raceFirst(step, Deferred.await(this.#exceeded))
  }

  /** The client has been authenticated. */
  release(): void {
    this.#tcp?.removeListener("data", this.#count)
    this.#webSocket?.limitPayload?.(Math.max(this.#limits.maxMessageSize, this.#limits.maxHandshakeSize))
  }
}

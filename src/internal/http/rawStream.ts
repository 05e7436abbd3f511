/**
 * The raw bytes of a stream that was upgraded (PROTOCOL.md, "Upgrades"), and a socket of Effect over them.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Socket from "effect/socket/Socket"
import { InvalidMessage, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { Gate } from "../scheduling/gate.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream, StreamFailure, StreamHandler } from "../streams/stream.ts"
import { toError } from "./failure.ts"
import type { IncomingBody } from "./incomingBody.ts"
import { Room } from "./room.ts"
import type { Raw } from "./upgradable.ts"

/** @internal */
export const closeError = (code: number, closeReason?: string): Socket.SocketError =>
  new Socket.SocketError({
    reason: new Socket.SocketCloseError({ code, ...(closeReason ? { closeReason } : undefined) })
  })

/** @internal */
export const openError = (description: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error(description) }) })

/** @internal */
export const writeError = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })

/** The reader was released: what still arrives is discarded. */
const released = new SwaggerSocketError({ reason: new InvalidMessage({ description: "the socket was closed" }) })

/** What an exchange does for its upgrade. @internal */
export interface Owner {
  /** The stream has ended before its time. */
  readonly onLost: () => void
  /** Both directions have ended, or this end has. Called once. */
  readonly onEnd: () => void
  /** What has to stay in memory as long as the stream is open. */
  readonly keepAlive?: object
}

/**
 * Both directions of an upgraded stream. A writer waits while the send buffer is full; bytes that arrive wait in `incoming` until
 * they are read, which gives their credit back.
 *
 * @internal
 */
export class RawStream implements StreamHandler, Raw {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  /** Shows a drain how far the peer has read. */
  readonly room = new Room()
  /** Called when the send buffer has room again. */
  onRoom: (() => void) | undefined
  /** Writers wait for room. */
  readonly #gate = new Gate()
  readonly #incoming: IncomingBody
  readonly #owner: Owner
  /** Both directions have ended, or this end has. */
  hasEnded = false
  #isReleased = false
  /** The peer has sent END. */
  #isReceived = false
  #failure: SwaggerSocketError | undefined

  constructor(mux: Multiplexed, stream: HttpStream, incoming: IncomingBody, owner: Owner) {
    this.mux = mux
    this.stream = stream
    this.#incoming = incoming
    this.#owner = owner
  }

  // --- what the peer does ------------------------------------------------------------------------------------------------

  onResponse(): undefined {}

  onData(data: Uint8Array, end: boolean): Violation | undefined {
    if (this.#isReleased) this.mux.consumed(this.stream, data.length)
    else this.#incoming.push(data, end)
    if (end) {
      this.#isReceived = true
      this.#check()
    }
    return undefined
  }

  onFailure(failure: StreamFailure): void {
    const error = toError(failure)
    // The peer has sent everything, and only wants no more.
    const isEnd = failure.code === ErrorCode.NO_ERROR && this.#isReceived
    this.#fail(error)
    if (!isEnd) this.#owner.onLost()
    this.#check()
  }

  onStopSending(): void {
    this.#free()
    this.#check()
  }

  onWritable(): void {
    this.#free()
    this.onRoom?.()
  }

  // --- what this end does ------------------------------------------------------------------------------------------------

  /** Bytes that have arrived. Fails with the close code 1000 at their end. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError> = Effect.suspend(() =>
    Effect.mapError(
      Pull.catchDone(this.#incoming.pull, () => Effect.fail(closeError(1000))),
      (error) =>
        error instanceof Socket.SocketError
          ? error
          : this.#isReleased
          ? closeError(1006)
          : new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: error }) })
    )
  )

  /** Writes bytes without waiting. Answers whether there is room for more, or why they can't be sent. */
  send(bytes: Uint8Array): boolean | Socket.SocketError {
    if (this.stream.isWritten) return writeError(this.#failure ?? new Error("this end of the stream has ended"))
    const hasRoom = this.mux.write(this.stream, bytes)
    this.room.written += bytes.length
    if (!hasRoom) this.room.isFull = true
    return hasRoom
  }

  /** Waits for room after a `send`. */
  sent(result: boolean | Socket.SocketError): Effect.Effect<void, Socket.SocketError> {
    if (result === true) return Effect.void
    if (result !== false) return Effect.fail(result)
    // Another fiber may end the direction meanwhile. What was written is sent before END, and no room is needed for more.
    return Effect.flatMap(
      this.#gate.until(() => !this.room.isFull || this.stream.isWritten),
      () => this.#failure === undefined ? Effect.void : Effect.fail(writeError(this.#failure))
    )
  }

  /** Ends the direction of this end. */
  finish(): void {
    this.mux.finish(this.stream)
    this.#gate.notify()
    this.#check()
  }

  /** This end reads no more, and writes no more behind what it has written. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#incoming.fail(released)
    this.finish()
  }

  /** Ends both directions at once. */
  abort(code: number, reason: string): void {
    this.mux.reset(this.stream, code, reason)
    this.#fail(released)
    this.release()
  }

  #fail(error: SwaggerSocketError): void {
    this.#failure = error
    this.#incoming.fail(error)
    this.#free()
  }

  #free(): void {
    this.room.free()
    this.#gate.notify()
  }

  #check(): void {
    const { isClosed, isWritten } = this.stream
    if (this.hasEnded || !(isClosed || this.#isReleased || (isWritten && this.#incoming.state !== "open"))) return
    this.hasEnded = true
    this.#owner.onEnd()
  }
}

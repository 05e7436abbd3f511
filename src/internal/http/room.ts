/**
 * Room in the send buffer of a stream.
 */
import type * as Effect from "effect/Effect"
import { Gate } from "../scheduling/gate.ts"
import type { HttpStream } from "../streams/stream.ts"

/** The writer of a body waits for it. @internal */
export class Room {
  /** Bytes that were written so far. */
  written = 0
  readonly #gate = new Gate()
  /** True after a write has returned `false`. */
  isFull = false

  /** The bytes that have left, while the writer waits for the reader. Otherwise `undefined`. */
  sentToReader({ buffered }: HttpStream): number | undefined {
    return this.isFull && buffered !== undefined ? this.written - buffered : undefined
  }

  /** There is room again. */
  free(): void {
    this.isFull = false
    this.#gate.notify()
  }

  /** Waits until there is room. */
  readonly whenFree: Effect.Effect<void> = this.#gate.until(() => !this.isFull)
}

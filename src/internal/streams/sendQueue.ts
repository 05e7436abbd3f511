/**
 * Whose DATA goes next: the most urgent streams first, those of one urgency in turns (PROTOCOL.md, "Scheduling").
 */
import * as MutableList from "effect/MutableList"
import { urgencies } from "./priority.ts"
import type { MuxStream } from "./stream.ts"

/** @internal */
export class SendQueue {
  /** By urgency, once there was a stream of it. */
  readonly #turns: Array<MutableList.MutableList<MuxStream> | undefined> = []
  #length = 0

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** Puts a stream at the end of its turn, if it has bytes and credit. */
  add(stream: MuxStream): void {
    if (stream.ready || stream.id === 0 || stream.buffered === 0 || stream.credit.available === 0) return
    stream.ready = true
    this.#length++
    MutableList.append(this.#turns[stream.urgency] ??= MutableList.make(), stream)
  }

  take(): MuxStream | undefined {
    for (let urgency = 0; this.#length > 0 && urgency < urgencies; urgency++) {
      const turn = this.#turns[urgency]
      if (turn === undefined) continue
      while (turn.length > 0) {
        const stream = MutableList.take(turn) as MuxStream
        this.#length--
        stream.ready = false
        // A stream that was reset meanwhile has nothing left.
        if (stream.buffered > 0 && stream.credit.available > 0) return stream
      }
    }
    return undefined
  }
}

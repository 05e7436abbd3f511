/**
 * Parts of a body that wait for their reader, in no more memory than a few times their bytes.
 *
 * Chunks are views of the messages they came in. A small one would keep a message that is much larger, and objects for
 * thousands of tiny ones cost more than what they hold: those are copied together.
 */
import * as Bytes from "effect/Bytes"

/** A view may keep this many times its size in memory. */
const maxPinned = 4
/** Smaller chunks are copied in any case: a view costs some 100 to 500 bytes of heap (measured on Node 20). */
const minView = 512
/** What small chunks are copied into is as large as the parts before it, within these bounds. */
const minTail = 1024
const maxTail = 64 * 1024

/** Most bodies are one chunk, and need no copy. @internal */
export const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array =>
  chunks.length === 1 ? chunks[0]! : Bytes.concat(chunks)

/** Whether a chunk keeps much more than its bytes in memory. @internal */
export const pinsMuch = (chunk: Uint8Array): boolean => chunk.length * maxPinned < chunk.buffer.byteLength

/** @internal */
export class Parts {
  /** Bytes of all parts. */
  size = 0
  #list: Array<Uint8Array> = []
  /** Comes after the list, while it has room. */
  #tail: Uint8Array | undefined = undefined
  #used = 0

  /** `isLast` keeps the chunk as it is: there will be no others to copy it together with. */
  add(chunk: Uint8Array, isLast: boolean): void {
    const before = this.size
    this.size += chunk.length
    if (this.#tail === undefined || chunk.length > this.#tail.length - this.#used) {
      this.#closeTail()
      if (isLast || (chunk.length >= minView && !pinsMuch(chunk))) {
        this.#list.push(chunk)
        return
      }
      this.#tail = new Uint8Array(Math.max(chunk.length, Math.min(Math.max(before, minTail), maxTail)))
    }
    this.#tail.set(chunk, this.#used)
    this.#used += chunk.length
  }

  #closeTail(): void {
    const tail = this.#tail
    if (tail === undefined) return
    const used = this.#used
    this.#tail = undefined
    this.#used = 0
    this.#list.push(used * 2 < tail.length ? tail.slice(0, used) : tail.subarray(0, used))
  }

  /** All parts, which are no longer here then. */
  take(): Array<Uint8Array> {
    this.#closeTail()
    const list = this.#list
    this.#list = []
    this.size = 0
    return list
  }

  /** All parts as one. */
  takeWhole(): Uint8Array {
    return joined(this.take())
  }
}

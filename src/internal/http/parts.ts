/**
 * Keeps the parts of a body that wait for their reader, in a few times as much memory as they have bytes.
 *
 * Chunks are views of the messages in which they came. A small view would keep a much larger message in memory, and thousands
 * of tiny views take more memory than their bytes. Small chunks are therefore copied together.
 */
import * as Bytes from "effect/Bytes"

/** A view may keep this many times its size in memory. */
const maxPinned = 4
/** Smaller chunks are copied in any case: a view costs some 100 to 500 bytes of heap (measured on Node 20). */
const minView = 512
/** Bounds of the buffer that small chunks are copied into. Within them it is as large as all parts before it. */
const minTail = 1024
const maxTail = 64 * 1024

/** Joins chunks. Most bodies are a single chunk, which is not copied. @internal */
export const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array =>
  chunks.length === 1 ? chunks[0]! : Bytes.concat(chunks)

/** True if a chunk keeps much more than its own bytes in memory. @internal */
export const pinsMuch = (chunk: Uint8Array): boolean => chunk.length * maxPinned < chunk.buffer.byteLength

/** @internal */
export class Parts {
  /** Bytes of all parts. */
  size = 0
  #list: Array<Uint8Array> = []
  /** Small chunks are copied into it. It follows the list. */
  #tail: Uint8Array | undefined
  #used = 0

  /** Adds a chunk. With `isLast` it is not copied, as no other chunk follows to be copied together with it. */
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

  /** Takes all parts out. */
  take(): Array<Uint8Array> {
    this.#closeTail()
    const list = this.#list
    this.#list = []
    this.size = 0
    return list
  }

  /** Takes all parts out, as one. */
  takeWhole(): Uint8Array {
    return joined(this.take())
  }
}

/**
 * Masks the frames of a WebSocket. Inside a connection they have no masks; a server of its own refuses those of a client then.
 */
import { mask } from "../internal/link/mask.ts"
import { keySize, writeKey } from "./maskKeys.ts"

const maskBit = 0x80

/** @internal */
export class FrameMasker {
  /** The head of a frame as far as it has arrived: ten bytes at most, without a mask. */
  readonly #head = new Uint8Array(10)
  #headSize = 0
  /** Bytes of the frame that have not arrived. */
  #left = 0
  /** Absent where the peer has masked the frame. */
  #key: Uint8Array | undefined
  #keyAt = 0
  #out = new Uint8Array(0)
  #size = 0

  /** Bytes may come in any portions: heads and payloads may be cut. */
  mask(bytes: Uint8Array): Uint8Array {
    this.#out = new Uint8Array(bytes.length + 64)
    this.#size = 0
    let at = 0
    while (at < bytes.length) {
      if (this.#left > 0) {
        const part = bytes.subarray(at, at + this.#left)
        this.#writePayload(part)
        at += part.length
      } else {
        this.#head[this.#headSize++] = bytes[at++]!
        this.#readHead()
      }
    }
    const out = this.#out.subarray(0, this.#size)
    this.#out = new Uint8Array(0)
    return out
  }

  /** Writes the head if it is complete. */
  #readHead(): void {
    if (this.#headSize < 2) return
    const second = this.#head[1]!
    const length = second & ~maskBit
    const size = length === 127 ? 10 : length === 126 ? 4 : 2
    if (this.#headSize < size) return
    this.#headSize = 0
    let left = size === 2 ? length : 0
    for (let at = 2; at < size; at++) left = left * 0x100 + this.#head[at]!
    this.#reserve(size + keySize)
    this.#out.set(this.#head.subarray(0, size), this.#size)
    this.#out[this.#size + 1] = second | maskBit
    this.#size += size
    if (second >= maskBit) {
      // Its key follows, and is passed on with the payload.
      this.#key = undefined
      this.#left = left + keySize
      return
    }
    const key = new Uint8Array(keySize)
    writeKey(key, 0)
    this.#key = key
    this.#keyAt = 0
    this.#left = left
    this.#out.set(key, this.#size)
    this.#size += keySize
  }

  #writePayload(part: Uint8Array): void {
    this.#reserve(part.length)
    this.#left -= part.length
    this.#out.set(part, this.#size)
    const end = this.#size + part.length
    if (this.#key !== undefined) mask(this.#out.subarray(this.#size, end), this.#key, this.#keyAt)
    this.#keyAt += part.length
    this.#size = end
  }

  #reserve(size: number): void {
    if (this.#size + size <= this.#out.length) return
    const larger = new Uint8Array((this.#size + size) * 2)
    larger.set(this.#out)
    this.#out = larger
  }
}

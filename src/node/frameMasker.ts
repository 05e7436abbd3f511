/**
 * Masks the frames of a WebSocket. Inside a connection they have no masks; a server of its own refuses those of a client then.
 */
import { randomFillSync } from "node:crypto"

const maskBit = 0x80
const keySize = 4

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
  /** Keys must not be guessed (RFC 6455 section 5.3). Drawing them one by one would take longer than the frames. */
  readonly #keys = new Uint8Array(1024)
  #usedKeys = this.#keys.length
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
    this.#key = this.#nextKey()
    this.#keyAt = 0
    this.#left = left
    this.#out.set(this.#key, this.#size)
    this.#size += keySize
  }

  #writePayload(part: Uint8Array): void {
    this.#reserve(part.length)
    this.#left -= part.length
    const key = this.#key
    if (key === undefined) this.#out.set(part, this.#size)
    else for (let at = 0; at < part.length; at++) this.#out[this.#size + at] = part[at]! ^ key[this.#keyAt++ & 3]!
    this.#size += part.length
  }

  #reserve(size: number): void {
    if (this.#size + size <= this.#out.length) return
    const larger = new Uint8Array((this.#size + size) * 2)
    larger.set(this.#out)
    this.#out = larger
  }

  #nextKey(): Uint8Array {
    if (this.#usedKeys === this.#keys.length) {
      randomFillSync(this.#keys)
      this.#usedKeys = 0
    }
    const at = this.#usedKeys
    this.#usedKeys += keySize
    return this.#keys.slice(at, at + keySize)
  }
}

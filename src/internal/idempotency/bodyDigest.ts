/**
 * Compares bodies of any length without keeping them: SHA-256 over one block after the other, each hashed together with the
 * hash of those before it, because WebCrypto hashes only what is in memory.
 */
import * as Hex from "effect/encoding/Hex"
import * as Schema from "effect/Schema"
import { sha256 } from "./sha256.ts"

/** Identifies a body: `hash` is that of its first `bytes` bytes, and `whole` says that the body ends there. @internal */
export const BodyPrint = Schema.Struct({
  bytes: Schema.Int,
  whole: Schema.Boolean,
  hash: Schema.String
})

/** @internal */
export type BodyPrint = typeof BodyPrint.Type

/** The print of a body of which nothing was read. @internal */
export const unreadPrint: BodyPrint = { bytes: 0, whole: false, hash: "" }

const hashSize = 32
const blockSize = 65536
const smallest = 1024

const encoder = new TextEncoder()

/**
 * Removes the boundary from a multipart body: each encoding of the same form has another one. The boundary may be split over
 * two chunks.
 */
class WithoutBoundary {
  readonly #boundary: string
  /** The end of the last chunk, which may be the beginning of a boundary. */
  #tail = ""

  constructor(boundary: string) {
    this.#boundary = boundary
  }

  next(chunk: Uint8Array): Uint8Array {
    // One character for each byte.
    const text = this.#tail + new TextDecoder("latin1").decode(chunk)
    let from = 0
    let kept = ""
    for (let at = text.indexOf(this.#boundary); at !== -1; at = text.indexOf(this.#boundary, from)) {
      kept += text.slice(from, at)
      from = at + this.#boundary.length
    }
    const end = Math.max(from, text.length - this.#boundary.length + 1)
    this.#tail = text.slice(end)
    return encoder.encode(kept + text.slice(from, end))
  }

  end(): Uint8Array {
    return encoder.encode(this.#tail)
  }
}

/** @internal */
export class BodyDigest {
  readonly #limit: number
  readonly #form: WithoutBoundary | undefined
  /** The hash of all blocks before, followed by the current block. */
  #block = new Uint8Array(hashSize + smallest)
  #used = hashSize
  #bytes = 0
  #exceeded = false

  /** `boundary` is that of a multipart body. Only the first `limit` bytes are hashed. */
  constructor(boundary: string | undefined, limit: number) {
    this.#form = boundary === undefined ? undefined : new WithoutBoundary(boundary)
    this.#limit = limit
  }

  /** True if the body has more than `limit` bytes. */
  get exceeded(): boolean {
    return this.#exceeded
  }

  /** Hashes a chunk. A promise that it returns must be awaited before the next call. */
  add(chunk: Uint8Array): Promise<void> | undefined {
    return this.#add(this.#form === undefined ? chunk : this.#form.next(chunk))
  }

  /** `whole` says that the body has ended. */
  async end(whole: boolean): Promise<BodyPrint> {
    if (whole && this.#form !== undefined) await this.#add(this.#form.end())
    if (this.#used > hashSize) await this.#hash()
    return {
      bytes: this.#bytes,
      whole: whole && !this.#exceeded,
      hash: Hex.encode(this.#block.subarray(0, hashSize))
    }
  }

  #add(bytes: Uint8Array): Promise<void> | undefined {
    const room = this.#limit - this.#bytes
    if (bytes.length > room) this.#exceeded = true
    const added = bytes.subarray(0, room)
    this.#bytes += added.length
    if (this.#used + added.length >= hashSize + blockSize) return this.#addBlocks(added)
    this.#append(added)
    return undefined
  }

  async #addBlocks(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + hashSize + blockSize - this.#used)
      this.#append(part)
      at += part.length
      if (this.#used === hashSize + blockSize) await this.#hash()
    }
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length
    if (needed > this.#block.length) {
      const larger = new Uint8Array(Math.min(Math.max(needed, this.#block.length * 2), hashSize + blockSize))
      larger.set(this.#block.subarray(0, this.#used))
      this.#block = larger
    }
    this.#block.set(bytes, this.#used)
    this.#used = needed
  }

  async #hash(): Promise<void> {
    this.#block.set(await sha256(this.#block.subarray(0, this.#used)))
    this.#used = hashSize
  }
}

/** The print of a body in memory, or of its first `limit` bytes. @internal */
export const printOf = async (
  body: Uint8Array,
  boundary: string | undefined,
  limit: number = Infinity
): Promise<BodyPrint> => {
  const digest = new BodyDigest(boundary, limit)
  await digest.add(body)
  return digest.end(true)
}

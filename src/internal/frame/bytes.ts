/**
 * Reading and writing of the wire's primitives: varints and strings (PROTOCOL.md, "Primitives").
 *
 * A reader never throws and never reads past its end: the first violation is kept in `failed`, and every later read
 * answers a harmless value, so that a decoder checks once per frame.
 */
import { largeMessage, recycle, takeBuffer } from "./bufferPool.ts"
import { ErrorCode, type Violation, violation } from "./errorCode.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Strings up to this length are built character by character, which beats a `TextDecoder` call. */
const shortString = 32

/** @internal */
export const varintSize = (value: number): number => value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x40000000 ? 4 : 8

// oxlint-disable-next-line no-control-regex
const beyondAscii = /[^\x00-\x7f]/

/** Bytes of a string in UTF-8. @internal */
export const utf8Length = (value: string): number =>
  beyondAscii.test(value) ? encoder.encode(value).length : value.length

const noBytes = new Uint8Array(0)
/**
 * Between `take` and the next write a writer holds no buffer: ten thousand idle connections share a few.
 *
 * @internal
 */
export class ByteWriter {
  private bytes: Uint8Array<ArrayBuffer> = noBytes
  length = 0

  /** Makes room for `size` more bytes. */
  private reserve(size: number): void {
    const needed = this.length + size
    if (needed <= this.bytes.length) return
    if (this.bytes.length === 0) {
      this.bytes = takeBuffer()
      if (size <= this.bytes.length) return
    }
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }

  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  /** Sets bits of a byte written before. */
  setBits(at: number, bits: number): void {
    this.bytes[at]! |= bits
  }

  varint(value: number): void {
    this.reserve(8)
    const bytes = this.bytes
    let at = this.length
    if (value < 0x40) {
      bytes[at++] = value
    } else if (value < 0x4000) {
      bytes[at++] = 0x40 | (value >>> 8)
      bytes[at++] = value & 0xff
    } else if (value < 0x40000000) {
      bytes[at++] = 0x80 | (value >>> 24)
      bytes[at++] = (value >>> 16) & 0xff
      bytes[at++] = (value >>> 8) & 0xff
      bytes[at++] = value & 0xff
    } else {
      const high = Math.floor(value / 0x100000000)
      bytes[at++] = 0xc0 | (high >>> 24)
      bytes[at++] = (high >>> 16) & 0xff
      bytes[at++] = (high >>> 8) & 0xff
      bytes[at++] = high & 0xff
      bytes[at++] = (value >>> 24) & 0xff
      bytes[at++] = (value >>> 16) & 0xff
      bytes[at++] = (value >>> 8) & 0xff
      bytes[at++] = value & 0xff
    }
    this.length = at
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length)
    this.bytes.set(value, this.length)
    this.length += value.length
  }

  /** Writes UTF-8 without a length and answers how many bytes it took. */
  text(value: string): number {
    const start = this.length
    const size = value.length
    this.reserve(size * 3)
    if (size <= shortString) {
      const bytes = this.bytes
      let i = 0
      for (; i < size; i++) {
        const char = value.charCodeAt(i)
        if (char > 0x7f) break
        bytes[start + i] = char
      }
      if (i === size) {
        this.length = start + size
        return size
      }
    }
    this.length = start + encoder.encodeInto(value, this.bytes.subarray(start)).written
    return this.length - start
  }

  /** Writes a string (length and UTF-8) and answers the byte length of its text. */
  string(value: string): number {
    const start = this.length
    // Most strings are ASCII: guess the size of the length and shift only when the guess was wrong.
    const guess = varintSize(value.length)
    this.reserve(8)
    this.length = start + guess
    const written = this.text(value)
    const actual = varintSize(written)
    if (actual !== guess) {
      this.reserve(8)
      this.bytes.copyWithin(start + actual, start + guess, start + guess + written)
    }
    this.length = start
    this.varint(written)
    this.length = start + actual + written
    return written
  }

  /** Writes the length of what was written since `start` in front of it. */
  prefixLength(start: number): void {
    const size = this.length - start
    const prefix = varintSize(size)
    this.reserve(8)
    this.bytes.copyWithin(start + prefix, start, this.length)
    this.length = start
    this.varint(size)
    this.length = start + prefix + size
  }

  /** What was written; the writer starts anew. */
  take(): Uint8Array<ArrayBuffer> {
    const isLarge = this.length > largeMessage
    const taken = isLarge ? this.bytes.subarray(0, this.length) : this.bytes.slice(0, this.length)
    if (!isLarge) recycle(this.bytes)
    this.bytes = noBytes
    this.length = 0
    return taken
  }
}

const cutShort = "a frame ends inside one of its members"

/** @internal */
export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  end: number
  /** The first thing that was wrong with the bytes. */
  failed: Violation | undefined = undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.at = 0
    this.end = bytes.length
  }

  /** Nothing can be read behind a failure. */
  fail(code: number, reason: string): void {
    this.failed ??= violation(code, reason)
    this.at = this.end
  }

  private invalid(reason: string): 0 {
    this.fail(ErrorCode.PROTOCOL_ERROR, reason)
    return 0
  }

  u8(): number {
    return this.at < this.end ? this.bytes[this.at++]! : this.invalid(cutShort)
  }

  /** Whether the varint that begins here ends before the end. */
  get hasVarint(): boolean {
    return this.at < this.end && this.at + (1 << (this.bytes[this.at]! >>> 6)) <= this.end
  }

  varint(): number {
    if (!this.hasVarint) return this.invalid(cutShort)
    const bytes = this.bytes
    let at = this.at
    const first = bytes[at]!
    const size = 1 << (first >>> 6)
    this.at += size
    let value = first & 0x3f
    for (let i = 1; i < size; i++) {
      value = value * 256 + bytes[++at]!
    }
    // What is lost above 2^53 can't bring a value back below it.
    if (value > Number.MAX_SAFE_INTEGER) return this.invalid("a varint exceeds 2^53-1")
    if (varintSize(value) !== size) return this.invalid("a varint is not in its shortest form")
    return value
  }

  /** The rest up to the end, as a view. */
  rest(): Uint8Array {
    const rest = this.bytes.subarray(this.at, this.end)
    this.at = this.end
    return rest
  }

  /** UTF-8 text of `size` bytes. */
  text(size: number): string {
    if (size > this.end - this.at) {
      this.invalid("a string runs past the end of its frame")
      return ""
    }
    const bytes = this.bytes
    const start = this.at
    const end = start + size
    this.at = end
    if (size <= shortString) {
      let text = ""
      let i = start
      for (; i < end; i++) {
        const byte = bytes[i]!
        if (byte > 0x7f) break
        text += String.fromCharCode(byte)
      }
      if (i === end) return text
    }
    try {
      return decoder.decode(bytes.subarray(start, end))
    } catch {
      this.invalid("a string is not valid UTF-8")
      return ""
    }
  }

  string(): string {
    return this.text(this.varint())
  }
}

/** @internal */
export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  let size = 0
  for (const part of parts) size += part.length
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * Frames to messages (PROTOCOL.md, "Messages", "Frames" and "Heads"): the wire's primitives, and the frames made of them. All of it is
 * in one file, because a frame of 30 bytes is made of 20 primitives.
 */
import { borrow, largeMessage, recycle } from "./bufferPool.ts"
import type { Fields, Frame } from "./Frame.ts"
import * as FrameType from "./FrameType.ts"
import { addedField, END, indexedField, indexFollows, maxReasonLength, methods, nameFollows } from "./grammar.ts"
import { DynamicTable, type Entry, entryOverhead, type Field, staticNames, staticSize } from "./headTable.ts"

/** Bytes that a DATA frame adds to its data, at most. @internal */
export const maxFrameOverhead = 13

const utf8 = new TextEncoder()
/** Strings up to this length are written character by character, which is faster than a call of a `TextEncoder`. */
const shortString = 32
const noBytes = new Uint8Array(0)

/** @internal */
export const varintSize = (value: number): number => value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x40000000 ? 4 : 8

/**
 * Writes the primitives of the wire (PROTOCOL.md, "Primitives"). Between `take` and the next write a writer holds no buffer: ten
 * thousand idle connections share a few.
 *
 * @internal
 */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer> = noBytes
  /** Bytes written since `take`. */
  length = 0

  /** Makes room for `size` more bytes. */
  #reserve(size: number): void {
    const needed = this.length + size
    if (needed <= this.#bytes.length) return
    if (this.#bytes.length === 0) {
      this.#bytes = borrow()
      if (size <= this.#bytes.length) return
    }
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.length))
    this.#bytes = grown
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#bytes[this.length++] = value
  }

  /** Sets bits of a byte that was written before. */
  protected setBits(at: number, bits: number): void {
    this.#bytes[at]! |= bits
  }

  varint(value: number): void {
    if (value < 0x40) return this.u8(value)
    const size = varintSize(value)
    this.#reserve(size)
    const bytes = this.#bytes
    const start = this.length
    let rest = value
    for (let at = start + size - 1; at > start; at--) {
      bytes[at] = rest
      rest = Math.floor(rest / 0x100)
    }
    bytes[start] = rest | (size === 2 ? 0x40 : size === 4 ? 0x80 : 0xc0)
    this.length = start + size
  }

  raw(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#bytes.set(value, this.length)
    this.length += value.length
  }

  /** Writes UTF-8 without a length. */
  text(value: string): void {
    const start = this.length
    const size = value.length
    this.#reserve(size * 3)
    const bytes = this.#bytes
    if (size <= shortString) {
      let i = 0
      for (; i < size; i++) {
        const char = value.charCodeAt(i)
        if (char > 0x7f) break
        bytes[start + i] = char
      }
      if (i === size) {
        this.length = start + size
        return
      }
    }
    this.length = start + utf8.encodeInto(value, bytes.subarray(start)).written
  }

  /** Writes a string (length and UTF-8), and returns the bytes of its UTF-8. */
  string(value: string): number {
    const start = this.length
    // Most strings are ASCII: the size of their length is guessed, and bytes are moved only where the guess was wrong.
    const guess = varintSize(value.length)
    this.#reserve(8)
    const begin = start + guess
    this.length = begin
    this.text(value)
    const written = this.length - begin
    const actual = varintSize(written)
    if (actual !== guess) {
      this.#reserve(8)
      this.#bytes.copyWithin(start + actual, begin, begin + written)
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
    this.#reserve(8)
    this.#bytes.copyWithin(start + prefix, start, this.length)
    this.length = start
    this.varint(size)
    this.length = start + prefix + size
  }

  /** Takes what was written; the writer starts anew. */
  take(): Uint8Array<ArrayBuffer> {
    const { length } = this
    const bytes = this.#bytes
    this.#bytes = noBytes
    this.length = 0
    if (length > largeMessage) return bytes.subarray(0, length)
    recycle(bytes)
    return bytes.slice(0, length)
  }
}

/** Longer values are not worth their place in a table of a few kilobytes. */
const maxIndexedValue = 256

/**
 * The peer's table as an encoder knows it.
 *
 * A lone surrogate is sent as U+FFFD, and kept here as it was given. That is safe: a field is found only by the same text, which
 * the peer has decoded to what it would decode it to again.
 */
class EncodeTable extends DynamicTable<Pick<Entry, "field" | "size">> {
  #known: Map<string, Map<string, number>> | undefined

  /** The index of a field that the dynamic table holds. */
  find(name: string, value: string): number | undefined {
    const insertion = this.#known?.get(name)?.get(value)
    return insertion === undefined ? undefined : staticSize + this.first + this.slots.length - 1 - insertion
  }

  /** Adds a field that `find` does not know if it is worth its place; tells whether it was added. */
  add(field: Field, nameBytes: number, valueBytes: number): boolean {
    const size = nameBytes + valueBytes + entryOverhead
    if (valueBytes > maxIndexedValue || size > this.capacity) return false
    this.insert({ field, size })
    this.#known ??= new Map()
    let values = this.#known.get(field[0])
    if (values === undefined) this.#known.set(field[0], values = new Map())
    values.set(field[1], this.first + this.slots.length - 1)
    return true
  }

  protected override evicted(field: Field): void {
    const values = this.#known?.get(field[0])
    values?.delete(field[1])
    if (values?.size === 0) this.#known!.delete(field[0])
  }
}

const methodBytes: ReadonlyMap<string, number> = new Map(methods.map((method, byte) => [method, byte]))

/**
 * Writes frames into one message after another. Heads change the head table: what was written must be sent.
 *
 * @internal
 */
export class Encoder extends ByteWriter {
  readonly table: EncodeTable
  /** Frames of the message under way. */
  frames = 0

  /** `headTableSize`: what the peer's settings announced. */
  constructor(headTableSize: number) {
    super()
    this.table = new EncodeTable(headTableSize)
  }

  /** Takes the message under way. */
  override take(): Uint8Array<ArrayBuffer> {
    this.frames = 0
    return super.take()
  }

  request(streamId: number, end: boolean, method: string, target: string, fields: Fields): void {
    const start = this.#begin(FrameType.REQUEST | (end ? END : 0))
    this.varint(streamId)
    const byte = methodBytes.get(method) ?? 0
    this.u8(byte)
    if (byte === 0) this.string(method)
    this.string(target)
    this.#fields(fields)
    this.prefixLength(start)
  }

  response(streamId: number, end: boolean, status: number, fields: Fields): void {
    const start = this.#begin(FrameType.RESPONSE | (end ? END : 0))
    this.varint(streamId)
    this.varint(status)
    this.#fields(fields)
    this.prefixLength(start)
  }

  #fields(fields: Fields): void {
    const { table } = this
    for (const field of fields) {
      const name = field[0]
      const value = field[1]
      const known = staticNames.get(name)
      const isVolatile = known?.isVolatile === true
      const index = known?.values.get(value) ?? (isVolatile ? undefined : table.find(name, value))
      if (index !== undefined) {
        if (index < indexFollows) {
          this.u8(indexedField | index)
        } else {
          this.u8(indexedField | indexFollows)
          this.varint(index - indexFollows)
        }
        continue
      }
      const start = this.length
      let nameBytes = name.length
      if (known !== undefined) {
        this.u8(known.index)
      } else {
        this.u8(nameFollows)
        this.varint(0)
        nameBytes = this.string(name)
      }
      const valueBytes = this.string(value)
      if (!isVolatile && table.add(field, nameBytes, valueBytes)) this.setBits(start, addedField)
    }
  }

  /** `size`: the bytes of all parts. */
  data(streamId: number, end: boolean, size: number, parts: ReadonlyArray<Uint8Array>): void {
    this.frames++
    this.u8(FrameType.DATA | (end ? END : 0))
    this.varint(varintSize(streamId) + size)
    this.varint(streamId)
    for (const part of parts) this.raw(part)
  }

  /** Any frame, as it waits in a queue. */
  frame(frame: Frame): void {
    switch (frame._tag) {
      case "Request":
        return this.request(frame.streamId, frame.end, frame.method, frame.target, frame.fields)
      case "Response":
        return this.response(frame.streamId, frame.end, frame.status, frame.fields)
      case "Data":
        return this.data(frame.streamId, frame.end, frame.data.length, [frame.data])
      case "Reset":
        return this.#end(FrameType.RESET, frame.streamId, frame.code, frame.reason)
      case "Credit":
        return this.#numbers(FrameType.CREDIT, frame.streamId, frame.increment)
      case "GoAway":
        return this.#end(FrameType.GOAWAY, frame.lastStreamId, frame.code, frame.reason)
      case "Ping":
        return this.#opaque(FrameType.PING, frame.data)
      case "Pong":
        return this.#opaque(FrameType.PONG, frame.data)
      case "Ack":
        return this.#numbers(FrameType.ACK, frame.received)
    }
  }

  #begin(type: number): number {
    this.frames++
    this.u8(type)
    return this.length
  }

  #numbers(type: number, ...values: ReadonlyArray<number>): void {
    const start = this.#begin(type)
    for (const value of values) this.varint(value)
    this.prefixLength(start)
  }

  /** The end of a stream, or of the streams above one. */
  #end(type: number, streamId: number, code: number, reason: string): void {
    const start = this.#begin(type)
    this.varint(streamId)
    this.varint(code)
    this.text(truncate(reason))
    this.prefixLength(start)
  }

  #opaque(type: number, data: Uint8Array): void {
    this.#begin(type)
    this.varint(data.length)
    this.raw(data)
  }
}

/** The longest prefix of whole characters within the limit of a reason. @internal */
export const truncate = (reason: string, limit: number = maxReasonLength): string => {
  if (reason.length * 3 <= limit) return reason
  return reason.slice(0, utf8.encodeInto(reason, new Uint8Array(limit)).read)
}

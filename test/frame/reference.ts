/**
 * A second decoder, read off PROTOCOL.md and written to be plain, for comparison. It is slow, throws, and trusts nothing
 * of the first one but its static table, which the vectors check.
 */
import { isUtf8 } from "node:buffer"
import type { DecoderLimits } from "../../src/internal/frame/decoder.ts"
import { staticEntries } from "../../src/internal/frame/headTable.ts"

const staticTable = staticEntries.map(({ field }) => field)
const methods = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"]
const dropped = [
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade"
]

type ConnectionError = "PROTOCOL_ERROR" | "FRAME_SIZE_ERROR" | "HEAD_TABLE_ERROR" | "UNKNOWN_FRAME"

class Refused extends Error {
  readonly code: ConnectionError
  constructor(code: ConnectionError) {
    super(code)
    this.code = code
  }
}

const check = (condition: boolean, code: ConnectionError = "PROTOCOL_ERROR"): void => {
  if (!condition) throw new Refused(code)
}

/** A frame with the members that the vectors have; `codes` are those that are right for a malformed head. */
export type ReferenceFrame = { readonly _tag: string } & Readonly<Record<string, unknown>>

type Field = readonly [name: string, value: string]

const sizeOf = ([name, value]: Field): number => Buffer.byteLength(name) + Buffer.byteLength(value) + 32

class Reader {
  rest: Uint8Array
  constructor(bytes: Uint8Array) {
    this.rest = bytes
  }

  take(size: number): Uint8Array {
    check(size <= this.rest.length)
    const taken = this.rest.subarray(0, size)
    this.rest = this.rest.subarray(size)
    return taken
  }

  byte(): number {
    return this.take(1)[0]!
  }

  varint(): number {
    check(this.rest.length > 0)
    const size = 2 ** (this.rest[0]! >> 6)
    const bytes = this.take(size)
    let value = BigInt(bytes[0]! & 0x3f)
    for (const byte of bytes.subarray(1)) value = value * 256n + BigInt(byte)
    check(value <= 2n ** 53n - 1n)
    check(size === (value < 2n ** 6n ? 1 : value < 2n ** 14n ? 2 : value < 2n ** 30n ? 4 : 8))
    return Number(value)
  }

  text(size: number): string {
    const bytes = this.take(size)
    check(isUtf8(bytes))
    return Buffer.from(bytes).toString("utf8")
  }

  string(): string {
    return this.text(this.varint())
  }

  streamId(): number {
    const id = this.varint()
    check(id >= 1)
    return id
  }

  reason(): string {
    check(this.rest.length <= 256, "FRAME_SIZE_ERROR")
    return this.text(this.rest.length)
  }
}

export class ReferenceDecoder {
  /** From the newest to the oldest. */
  table: Array<Field> = []
  private readonly limits: DecoderLimits

  constructor(limits: DecoderLimits) {
    this.limits = limits
  }

  /** The frames before the first error, and its code. */
  decode(message: Uint8Array): { readonly frames: Array<ReferenceFrame>; readonly error: ConnectionError | undefined } {
    const frames: Array<ReferenceFrame> = []
    try {
      this.message(message, frames)
      return { frames, error: undefined }
    } catch (error) {
      if (error instanceof Refused) return { frames, error: error.code }
      throw error
    }
  }

  private message(message: Uint8Array, frames: Array<ReferenceFrame>): void {
    check(message.length > 0)
    check(message.length <= this.limits.maxMessageSize, "FRAME_SIZE_ERROR")
    const reader = new Reader(message)
    const kinds = new Set<boolean>()
    while (reader.rest.length > 0) {
      const first = reader.byte()
      const type = first % 128
      const end = first >= 128
      check([1, 2, 3, 4, 5, 6, 16, 17, 18].includes(type) || type >= 64, "UNKNOWN_FRAME")
      check(!end || [1, 2, 3].includes(type))
      if (type < 64) kinds.add(type >= 16)
      check(kinds.size < 2)
      check(reader.rest.length > 0, "FRAME_SIZE_ERROR")
      check(reader.rest.length >= 2 ** (reader.rest[0]! >> 6), "FRAME_SIZE_ERROR")
      const length = reader.varint()
      check(length <= this.limits.maxFrameSize, "FRAME_SIZE_ERROR")
      check(length <= reader.rest.length, "FRAME_SIZE_ERROR")
      const payload = new Reader(reader.take(length))
      if (type >= 64) continue
      const frame = this.frame(type, end, payload)
      check(payload.rest.length === 0)
      frames.push(frame)
    }
  }

  private frame(type: number, end: boolean, reader: Reader): ReferenceFrame {
    switch (type) {
      case 1: {
        const streamId = reader.streamId()
        const methodByte = reader.byte()
        check(methodByte <= 9)
        const method = methodByte === 0 ? reader.string() : methods[methodByte]!
        const target = reader.string()
        const head = this.fields(reader, Buffer.byteLength(target))
        const malformed = head.malformed || !/^[a-z0-9!#$%&'*+.^_`|~-]+$/i.test(method) || method.length > 32 ||
          method === "CONNECT" || target.length > 8192 || /[^\x21-\x7e]|#/.test(target) ||
          !(target.startsWith("/") || target === "*")
        return this.head({ _tag: "Request", streamId, end, method, target, fields: head.kept }, head.size, malformed)
      }
      case 2: {
        const streamId = reader.streamId()
        const status = reader.varint()
        check(status >= 200 && status <= 599)
        const head = this.fields(reader, 0)
        return this.head({ _tag: "Response", streamId, end, status, fields: head.kept }, head.size, head.malformed)
      }
      case 3:
        return { _tag: "Data", streamId: reader.streamId(), end, data: reader.take(reader.rest.length) }
      case 4:
        return { _tag: "Reset", streamId: reader.streamId(), code: reader.varint(), reason: reader.reason() }
      case 5: {
        const streamId = reader.varint()
        const increment = reader.varint()
        check(increment >= 1 && increment <= 2147483647)
        return { _tag: "Credit", streamId, increment }
      }
      case 6:
        return { _tag: "GoAway", lastStreamId: reader.varint(), code: reader.varint(), reason: reader.reason() }
      case 16:
      case 17:
        check(reader.rest.length <= 125, "FRAME_SIZE_ERROR")
        return { _tag: type === 16 ? "Ping" : "Pong", data: reader.take(reader.rest.length) }
      default:
        return { _tag: "Ack", received: reader.varint() }
    }
  }

  private head(frame: ReferenceFrame, size: number, malformed: boolean): ReferenceFrame {
    const codes = [
      ...malformed ? ["MALFORMED"] : [],
      ...size > this.limits.maxHeadSize ? ["HEAD_TOO_LARGE"] : []
    ]
    return codes.length === 0 ? frame : { _tag: "Malformed", streamId: frame.streamId, codes }
  }

  private fields(reader: Reader, targetSize: number) {
    const fields: Array<Field> = []
    while (reader.rest.length > 0) {
      const first = reader.byte()
      if (first >= 128) {
        fields.push(this.entry(first === 255 ? 127 + reader.varint() : first - 128))
        continue
      }
      const named = first % 64
      const more = named === 63 ? reader.varint() : -1
      const name = more === 0 ? reader.string() : this.entry(more > 0 ? 62 + more : named)[0]
      const field: Field = [name, reader.string()]
      fields.push(field)
      if (first >= 64) this.add(field)
    }
    return {
      kept: fields.filter(([name]) => !dropped.includes(name)),
      size: fields.reduce((size, field) => size + sizeOf(field), targetSize),
      malformed: fields.some(([name, value]) =>
        !/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || name.length > 256 ||
        ["\r", "\n", "\0"].some((forbidden) => value.includes(forbidden))
      )
    }
  }

  private entry(index: number): Field {
    const entry = index < 48 ? staticTable[index] : this.table[index - 48]
    if (entry === undefined) throw new Refused("HEAD_TABLE_ERROR")
    return entry
  }

  private add(field: Field): void {
    const capacity = this.limits.headTableSize
    const used = () => this.table.reduce((size, entry) => size + sizeOf(entry), 0)
    while (this.table.length > 0 && used() + sizeOf(field) > capacity) this.table.pop()
    if (sizeOf(field) <= capacity) this.table.unshift(field)
  }
}

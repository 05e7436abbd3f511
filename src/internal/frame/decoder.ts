/**
 * Messages to frames (PROTOCOL.md, "Messages", "Frames" and "Heads"): the wire's primitives, and the frames made of them.
 *
 * Decoding is total: any bytes give frames or a violation, in time and memory proportional to the message.
 */
import { type Violation, violation } from "./codes.ts"
import * as ErrorCode from "./ErrorCode.ts"
import type { Decoded, Malformed } from "./Frame.ts"
import * as FrameType from "./FrameType.ts"
import {
  addedField,
  END,
  EXTENSION,
  forbiddenInValue,
  indexedField,
  indexFollows,
  LINK,
  linkMask,
  maxFramesInMessage,
  maxIncrement,
  maxPingLength,
  maxReasonLength,
  maxTargetLength,
  methodPattern,
  methods,
  nameFollows,
  switchingProtocols,
  targetPattern,
  transportFields,
  upgradeField
} from "./grammar.ts"
import { nameFault, valueFault } from "./head.ts"
import { DecodeTable, type Entry, entryOverhead, type Field, type Name } from "./headTable.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
/** Strings up to this length are built character by character, which is faster than a call of a `TextDecoder`. */
const shortString = 32

const cutShort = "a frame ends inside one of its members"

/**
 * Reads the primitives of the wire (PROTOCOL.md, "Primitives").
 *
 * A reader never throws and never reads past its end: the first violation is kept in `failed`, and every later read
 * returns a harmless value, so that a decoder checks once for each frame.
 *
 * @internal
 */
export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  end: number
  /** The first thing that was wrong with the bytes. */
  failed: Violation | undefined

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

  #invalid(reason: string): 0 {
    this.fail(ErrorCode.PROTOCOL_ERROR, reason)
    return 0
  }

  u8(): number {
    return this.at < this.end ? this.bytes[this.at++]! : this.#invalid(cutShort)
  }

  /** Whether the varint that begins here ends before the end. */
  get hasVarint(): boolean {
    return this.at < this.end && this.at + (1 << (this.bytes[this.at]! >>> 6)) <= this.end
  }

  varint(): number {
    if (!this.hasVarint) return this.#invalid(cutShort)
    const bytes = this.bytes
    let at = this.at
    const first = bytes[at]!
    const size = 1 << (first >>> 6)
    this.at += size
    if (size === 1) return first
    let value = first & 0x3f
    for (let i = 1; i < size; i++) {
      value = value * 256 + bytes[++at]!
    }
    // What is lost above 2^53 can't bring a value back below it.
    if (value > Number.MAX_SAFE_INTEGER) return this.#invalid("a varint exceeds 2^53-1")
    // Each size has values from 2^6, 2^14 and 2^30 on.
    const isShortest = size === 2 ? value >= 0x40 : size === 4 ? value >= 0x4000 : value >= 0x40000000
    return isShortest ? value : this.#invalid("a varint is not in its shortest form")
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
      this.#invalid("a string runs past the end of its frame")
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
      return utf8.decode(bytes.subarray(start, end))
    } catch {
      this.#invalid("a string is not valid UTF-8")
      return ""
    }
  }

  string(): string {
    return this.text(this.varint())
  }
}

/**
 * A head as far as it was decoded. It holds no more bytes of fields than `maxSize`: a byte on the wire may stand for hundreds.
 *
 * @internal
 */
export class DecodedHead {
  readonly fields: Array<Field> = []
  readonly maxSize: number
  size: number
  /** What the head says that is forbidden. */
  fault: string | undefined

  /** `size`: the bytes of a request's target. */
  constructor(maxSize: number, size: number) {
    this.maxSize = maxSize
    this.size = size
  }

  add(name: Name, field: Field, size: number, fault: string | undefined): void {
    this.size += size
    this.fault ??= fault
    if (!name.dropped && this.fault === undefined && this.size <= this.maxSize) this.fields.push(field)
  }

  /** The frame that stands for a head that is forbidden or too large. */
  malformed(streamId: number, request: boolean, end: boolean): Malformed | undefined {
    const { fault, maxSize, size } = this
    if (fault === undefined && size <= maxSize) return undefined
    const code = fault === undefined ? ErrorCode.HEAD_TOO_LARGE : ErrorCode.MALFORMED
    const reason = fault ?? `the head has ${size} bytes, the limit is ${maxSize}`
    return { _tag: "Malformed", streamId, request, end, code, reason }
  }
}

/**
 * Decodes fields up to the end of the reader. A malformed head is decoded to its last field, too, so that the table stays equal to
 * the peer's. A violation of the connection is left in the reader, and the head must not be used then.
 *
 * @internal
 */
export const decodeFields = (reader: ByteReader, table: DecodeTable, head: DecodedHead): void => {
  while (reader.at < reader.end) {
    const first = reader.u8()
    if (first & indexedField) {
      let index = first & 0x7f
      if (index === indexFollows) index += reader.varint()
      const entry = find(reader, table, index)
      if (entry === undefined) return
      head.add(entry.name, entry.field, entry.size, entry.fault)
      continue
    }
    const name = decodeName(first & 0x3f, reader, table)
    if (name === undefined) return
    const valueBytes = reader.varint()
    const value = reader.text(valueBytes)
    const field: Field = [name.text, value]
    const size = name.bytes + valueBytes + entryOverhead
    const fault = name.fault ?? (forbiddenInValue.test(value) ? valueFault(name.text) : undefined)
    if (first & addedField) table.add(name, field, size, fault)
    head.add(name, field, size, fault)
  }
}

const find = (reader: ByteReader, table: DecodeTable, index: number): Entry | undefined => {
  const entry = table.get(index)
  if (entry === undefined) reader.fail(ErrorCode.HEAD_TABLE_ERROR, `the head table has no entry ${index}`)
  return entry
}

const decodeName = (index: number, reader: ByteReader, table: DecodeTable): Name | undefined => {
  if (index < nameFollows) return find(reader, table, index)?.name
  const more = reader.varint()
  if (more > 0) return find(reader, table, nameFollows - 1 + more)?.name
  const bytes = reader.varint()
  const text = reader.text(bytes)
  return reader.failed === undefined
    ? {
      text,
      bytes,
      fault: nameFault(text),
      dropped: transportFields.has(text) && !(table.upgrades && text === upgradeField)
    }
    : undefined
}

/** What a decoder accepts; the settings that this end announced. @internal */
export interface DecoderLimits {
  readonly maxMessageSize: number
  readonly maxFrameSize: number
  readonly maxHeadSize: number
  readonly headTableSize: number
}

/** Returns what is wrong with a frame, if anything is. @internal */
export type OnFrame = (frame: Decoded) => Violation | undefined

/** A message as far as it was decoded. */
interface Begun {
  readonly reader: ByteReader
  readonly size: number
  /** How many frames came before, and whether they are of the link: unknown until the first one that is no extension. */
  frames: number
  link: boolean | undefined
}

const never = () => false

/** @internal */
export class Decoder {
  readonly #limits: DecoderLimits
  readonly table: DecodeTable
  #begun: Begun | undefined
  /** A message was decoded in part: `goOn` decodes what follows. */
  isStopped = false

  /** `upgrades`: both ends know them. */
  constructor(limits: DecoderLimits, upgrades?: boolean) {
    this.#limits = limits
    this.table = new DecodeTable(limits.headTableSize, upgrades)
  }

  /**
   * Hands every frame of a message to `onFrame`, in order, until the end or the first violation of the connection,
   * found here or returned by `onFrame`; or until `stops`, which is asked after each frame.
   */
  decode(message: Uint8Array, onFrame: OnFrame, stops: () => boolean = never): Violation | undefined {
    if (message.length === 0) return violation(ErrorCode.PROTOCOL_ERROR, "an empty message")
    if (message.length > this.#limits.maxMessageSize) {
      return violation(
        ErrorCode.FRAME_SIZE_ERROR,
        `a message of ${message.length} bytes, the limit is ${this.#limits.maxMessageSize}`
      )
    }
    const reader = new ByteReader(message)
    return this.#decodeFrames({ reader, size: message.length, frames: 0, link: undefined }, onFrame, stops)
  }

  /** Goes on with a message that was decoded in part. */
  goOn(onFrame: OnFrame, stops: () => boolean = never): Violation | undefined {
    const begun = this.#begun
    this.#begun = undefined
    this.isStopped = false
    return begun && this.#decodeFrames(begun, onFrame, stops)
  }

  #decodeFrames(begun: Begun, onFrame: OnFrame, stops: () => boolean): Violation | undefined {
    const { reader, size } = begun
    while (reader.at < size) {
      if (++begun.frames > maxFramesInMessage) {
        return violation(ErrorCode.EXCESSIVE_LOAD, `more than ${maxFramesInMessage} frames in one message`)
      }
      reader.end = size
      const typeByte = reader.u8()
      const type = typeByte & ~END
      if (!isFrameType(type)) return violation(ErrorCode.UNKNOWN_FRAME, `a frame of the unknown type ${type}`)
      const end = typeByte !== type
      // Only REQUEST, RESPONSE and DATA may have END.
      if (end && type > FrameType.DATA) {
        return violation(ErrorCode.PROTOCOL_ERROR, `END on a frame of type ${type}`)
      }
      if (type < EXTENSION) {
        const link = (type & linkMask) === LINK
        if (begun.link !== undefined && begun.link !== link) {
          return violation(ErrorCode.PROTOCOL_ERROR, "a message mixes frames of the link and of the connection")
        }
        begun.link = link
      }
      this.#enterPayload(reader)
      if (reader.failed !== undefined) return reader.failed
      if (type >= EXTENSION) {
        reader.at = reader.end
        continue
      }
      const frame = this.#decodePayload(type, end, reader)
      if (reader.at !== reader.end) reader.fail(ErrorCode.PROTOCOL_ERROR, "a frame has bytes behind its last member")
      if (reader.failed !== undefined) return reader.failed
      const refused = onFrame(frame)
      if (refused !== undefined) return refused
      if (stops() && reader.at < size) {
        this.#begun = begun
        this.isStopped = true
        return undefined
      }
    }
    return undefined
  }

  /** Reads the length of a frame and confines the reader to its payload. */
  #enterPayload(reader: ByteReader): void {
    if (!reader.hasVarint) return reader.fail(ErrorCode.FRAME_SIZE_ERROR, "a message ends inside the length of a frame")
    const length = reader.varint()
    const { maxFrameSize } = this.#limits
    if (length > maxFrameSize) {
      reader.fail(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes, the limit is ${maxFrameSize}`)
    } else if (length > reader.end - reader.at) {
      reader.fail(ErrorCode.FRAME_SIZE_ERROR, "a frame runs past the end of its message")
    } else {
      reader.end = reader.at + length
    }
  }

  /** The frame must not be used if the reader has failed. */
  #decodePayload(type: number, end: boolean, reader: ByteReader): Decoded {
    switch (type) {
      case FrameType.REQUEST:
        return this.#decodeRequest(end, reader)
      case FrameType.RESPONSE: {
        const streamId = decodeStreamId(reader)
        const status = reader.varint()
        if ((status < 200 && !(status === switchingProtocols && this.table.upgrades)) || status > 599) {
          reader.fail(ErrorCode.PROTOCOL_ERROR, `the status ${status}`)
        }
        const head = new DecodedHead(this.#limits.maxHeadSize, 0)
        decodeFields(reader, this.table, head)
        return head.malformed(streamId, false, end) ??
          { _tag: "Response", streamId, end, status, fields: head.fields }
      }
      case FrameType.DATA:
        return { _tag: "Data", streamId: decodeStreamId(reader), end, data: reader.rest() }
      case FrameType.RESET:
        return { _tag: "Reset", streamId: decodeStreamId(reader), code: reader.varint(), reason: decodeReason(reader) }
      case FrameType.CREDIT: {
        const streamId = reader.varint()
        const increment = reader.varint()
        if (increment < 1 || increment > maxIncrement) {
          reader.fail(ErrorCode.PROTOCOL_ERROR, `a credit of ${increment}`)
        }
        return { _tag: "Credit", streamId, increment }
      }
      case FrameType.GOAWAY:
        return { _tag: "GoAway", lastStreamId: reader.varint(), code: reader.varint(), reason: decodeReason(reader) }
      case FrameType.PING:
        return { _tag: "Ping", data: decodePingData(reader) }
      case FrameType.PONG:
        return { _tag: "Pong", data: decodePingData(reader) }
      default: // ACK: no other type gets here
        return { _tag: "Ack", received: reader.varint() }
    }
  }

  #decodeRequest(end: boolean, reader: ByteReader): Decoded {
    const streamId = decodeStreamId(reader)
    const byte = reader.u8()
    const method = byte === 0 ? reader.string() : methods[byte]
    if (method === undefined) reader.fail(ErrorCode.PROTOCOL_ERROR, `the unknown method ${byte}`)
    const target = reader.string()
    const head = new DecodedHead(this.#limits.maxHeadSize, target.length)
    if (byte === 0 && (method === "CONNECT" || !methodPattern.test(method!))) {
      head.fault = "the method is not one that may be used"
    } else if (target.length > maxTargetLength || !targetPattern.test(target)) {
      head.fault = "the target is not a path with an optional query, or *"
    }
    decodeFields(reader, this.table, head)
    return head.malformed(streamId, true, end) ??
      { _tag: "Request", streamId, end, method: method!, target, fields: head.fields }
  }
}

/** Whether a type, without END, is known or an extension. */
const isFrameType = (type: number): boolean =>
  (type >= FrameType.REQUEST && type <= FrameType.GOAWAY) || (type >= FrameType.PING && type <= FrameType.ACK) ||
  type >= EXTENSION

const decodeStreamId = (reader: ByteReader): number => {
  const streamId = reader.varint()
  if (streamId === 0) reader.fail(ErrorCode.PROTOCOL_ERROR, "the stream id 0")
  return streamId
}

const decodeReason = (reader: ByteReader): string => {
  const length = reader.end - reader.at
  if (length <= maxReasonLength) return reader.text(length)
  reader.fail(ErrorCode.FRAME_SIZE_ERROR, `a reason of ${length} bytes, the limit is ${maxReasonLength}`)
  return ""
}

const decodePingData = (reader: ByteReader): Uint8Array => {
  const data = reader.rest()
  if (data.length > maxPingLength) {
    reader.fail(ErrorCode.FRAME_SIZE_ERROR, `${data.length} bytes of ping data, the limit is ${maxPingLength}`)
  }
  return data
}

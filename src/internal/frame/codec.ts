/**
 * Messages to frames and back (PROTOCOL.md, "Messages and frames").
 *
 * Decoding is total: any bytes give frames or a violation, in time and memory proportional to the message.
 */
import { ByteReader, ByteWriter, varintSize } from "./bytes.ts"
import { ErrorCode, type Violation, violation } from "./errorCode.ts"
import {
  type Decoded,
  END,
  EXTENSION,
  type Fields,
  type Frame,
  FrameType,
  isLinkType,
  maxIncrement,
  maxPingLength,
  maxReasonLength
} from "./Frame.ts"
import { DecodedFields, decodeFields, decodeMethod, encodeFields, encodeMethod, isMethod, isTarget } from "./head.ts"
import { DecodeTable, EncodeTable } from "./headTable.ts"

/** What a decoder accepts; the settings that this end announced. @internal */
export interface DecoderLimits {
  readonly maxMessageSize: number
  readonly maxFrameSize: number
  readonly maxHeadSize: number
  readonly headTableSize: number
}

/** @internal */
export class Decoder {
  private readonly limits: DecoderLimits
  private readonly table: DecodeTable

  constructor(limits: DecoderLimits) {
    this.limits = limits
    this.table = new DecodeTable(limits.headTableSize)
  }

  /**
   * Hands every frame of a message to `onFrame`, in order, until the end or the first violation of the connection,
   * found here or answered by `onFrame`.
   */
  decode(message: Uint8Array, onFrame: (frame: Decoded) => Violation | undefined): Violation | undefined {
    if (message.length === 0) return violation(ErrorCode.PROTOCOL_ERROR, "an empty message")
    if (message.length > this.limits.maxMessageSize) {
      return violation(
        ErrorCode.FRAME_SIZE_ERROR,
        `a message of ${message.length} bytes, the limit is ${this.limits.maxMessageSize}`
      )
    }
    const reader = new ByteReader(message)
    /** Whether the message holds link frames; unknown until its first frame that is no extension. */
    let link: boolean | undefined = undefined
    while (reader.at < message.length) {
      reader.end = message.length
      const typeByte = reader.u8()
      const length = reader.varint()
      if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
      if (length > this.limits.maxFrameSize) {
        return violation(
          ErrorCode.FRAME_SIZE_ERROR,
          `a frame of ${length} bytes, the limit is ${this.limits.maxFrameSize}`
        )
      }
      if (length > message.length - reader.at) {
        return violation(ErrorCode.FRAME_SIZE_ERROR, "a frame runs past the end of its message")
      }
      reader.end = reader.at + length
      const type = typeByte & ~END
      const end = (typeByte & END) !== 0
      if (end && type !== FrameType.REQUEST && type !== FrameType.RESPONSE && type !== FrameType.DATA) {
        return violation(ErrorCode.PROTOCOL_ERROR, `END on a frame of type ${type}`)
      }
      if (type >= EXTENSION) {
        reader.at = reader.end
        continue
      }
      const isLink = isLinkType(type)
      if (link === undefined) link = isLink
      else if (link !== isLink) {
        return violation(ErrorCode.PROTOCOL_ERROR, "a message mixes frames of the link and of the connection")
      }
      const frame = this.decodeFrame(type, end, reader)
      if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
      if (!("_tag" in frame)) return frame
      if (reader.at !== reader.end) {
        return violation(ErrorCode.PROTOCOL_ERROR, "a frame has bytes after its last member")
      }
      const refused = onFrame(frame)
      if (refused !== undefined) return refused
    }
    return undefined
  }

  private decodeFrame(type: number, end: boolean, reader: ByteReader): Decoded | Violation {
    switch (type) {
      case FrameType.REQUEST: {
        const streamId = decodeStreamId(reader)
        const method = decodeMethod(reader)
        const target = reader.string()
        if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
        if (method === undefined) return violation(ErrorCode.PROTOCOL_ERROR, "an unknown method byte")
        const head = new DecodedFields()
        head.size = target.length
        const refused = decodeFields(reader, this.table, this.limits.maxHeadSize, head)
        if (refused !== undefined) return refused
        if (!isMethod(method)) head.fault = violation(ErrorCode.MALFORMED, "the method is not a usable token")
        else if (!isTarget(target)) head.fault = violation(ErrorCode.MALFORMED, "the target is not in origin form")
        return head.fault === undefined
          ? { _tag: "Request", streamId, end, method, target, fields: head.fields }
          : malformed(streamId, true, end, head.fault)
      }
      case FrameType.RESPONSE: {
        const streamId = decodeStreamId(reader)
        const status = reader.varint()
        if (reader.failed !== undefined) return violation(ErrorCode.PROTOCOL_ERROR, reader.failed)
        if (status < 200 || status > 599) return violation(ErrorCode.PROTOCOL_ERROR, `the status ${status}`)
        const head = new DecodedFields()
        const refused = decodeFields(reader, this.table, this.limits.maxHeadSize, head)
        if (refused !== undefined) return refused
        return head.fault === undefined
          ? { _tag: "Response", streamId, end, status, fields: head.fields }
          : malformed(streamId, false, end, head.fault)
      }
      case FrameType.DATA:
        return { _tag: "Data", streamId: decodeStreamId(reader), end, data: reader.rest() }
      case FrameType.RESET:
        return { _tag: "Reset", streamId: decodeStreamId(reader), code: reader.varint(), reason: decodeReason(reader) }
      case FrameType.CREDIT: {
        const streamId = reader.varint()
        const increment = reader.varint()
        return increment >= 1 && increment <= maxIncrement
          ? { _tag: "Credit", streamId, increment }
          : violation(ErrorCode.PROTOCOL_ERROR, `a credit of ${increment}`)
      }
      case FrameType.GOAWAY:
        return {
          _tag: "GoAway",
          lastStreamId: reader.varint(),
          code: reader.varint(),
          reason: decodeReason(reader)
        }
      case FrameType.PING:
      case FrameType.PONG: {
        const data = reader.rest()
        if (data.length > maxPingLength) {
          return violation(
            ErrorCode.FRAME_SIZE_ERROR,
            `${data.length} bytes of ping data, the limit is ${maxPingLength}`
          )
        }
        return type === FrameType.PING ? { _tag: "Ping", data } : { _tag: "Pong", data }
      }
      case FrameType.ACK:
        return { _tag: "Ack", received: reader.varint() }
    }
    return violation(ErrorCode.UNKNOWN_FRAME, `a frame of the unknown type ${type}`)
  }
}

const malformed = (streamId: number, request: boolean, end: boolean, fault: Violation): Decoded => ({
  _tag: "Malformed",
  streamId,
  request,
  end,
  code: fault.code,
  reason: fault.reason
})

const decodeStreamId = (reader: ByteReader): number => {
  const streamId = reader.varint()
  if (streamId === 0 && reader.failed === undefined) reader.failed = "stream id 0"
  return streamId
}

const decodeReason = (reader: ByteReader): string => {
  const length = reader.end - reader.at
  if (length > maxReasonLength) {
    reader.failed ??= `a reason of ${length} bytes, the limit is ${maxReasonLength}`
    return ""
  }
  return reader.text(length)
}

/** Bytes that a DATA frame adds to its data, at most. @internal */
export const maxFrameOverhead = 13

/**
 * Writes frames into one message after another. Heads change the head table: what was written must be sent.
 *
 * @internal
 */
export class Encoder {
  private readonly writer = new ByteWriter()
  private readonly table: EncodeTable

  /** `headTableSize`: what the peer's settings announced. */
  constructor(headTableSize: number) {
    this.table = new EncodeTable(headTableSize)
  }

  /** Bytes of the message under way. */
  get length(): number {
    return this.writer.length
  }

  /** Takes the message under way. */
  take(): Uint8Array<ArrayBuffer> {
    return this.writer.take()
  }

  request(streamId: number, end: boolean, method: string, target: string, fields: Fields): void {
    const writer = this.writer
    const start = this.begin(FrameType.REQUEST | (end ? END : 0))
    writer.varint(streamId)
    encodeMethod(writer, method)
    writer.string(target)
    encodeFields(writer, fields, this.table)
    writer.prefixLength(start)
  }

  response(streamId: number, end: boolean, status: number, fields: Fields): void {
    const writer = this.writer
    const start = this.begin(FrameType.RESPONSE | (end ? END : 0))
    writer.varint(streamId)
    writer.varint(status)
    encodeFields(writer, fields, this.table)
    writer.prefixLength(start)
  }

  /** A DATA frame of `size` bytes, which then follow by `raw`. */
  dataHead(streamId: number, end: boolean, size: number): void {
    const writer = this.writer
    writer.u8(FrameType.DATA | (end ? END : 0))
    writer.varint(varintSize(streamId) + size)
    writer.varint(streamId)
  }

  readonly raw = (data: Uint8Array): void => this.writer.raw(data)

  reset(streamId: number, code: number, reason: string): void {
    const start = this.begin(FrameType.RESET)
    this.writer.varint(streamId)
    this.writer.varint(code)
    this.writer.text(truncate(reason))
    this.writer.prefixLength(start)
  }

  credit(streamId: number, increment: number): void {
    const start = this.begin(FrameType.CREDIT)
    this.writer.varint(streamId)
    this.writer.varint(increment)
    this.writer.prefixLength(start)
  }

  goAway(lastStreamId: number, code: number, reason: string): void {
    const start = this.begin(FrameType.GOAWAY)
    this.writer.varint(lastStreamId)
    this.writer.varint(code)
    this.writer.text(truncate(reason))
    this.writer.prefixLength(start)
  }

  ping(data: Uint8Array): void {
    this.opaque(FrameType.PING, data)
  }

  pong(data: Uint8Array): void {
    this.opaque(FrameType.PONG, data)
  }

  ack(received: number): void {
    const start = this.begin(FrameType.ACK)
    this.writer.varint(received)
    this.writer.prefixLength(start)
  }

  /** Any frame, for tools and tests; the multiplexer calls the methods above. */
  frame(frame: Frame): void {
    switch (frame._tag) {
      case "Request":
        return this.request(frame.streamId, frame.end, frame.method, frame.target, frame.fields)
      case "Response":
        return this.response(frame.streamId, frame.end, frame.status, frame.fields)
      case "Data":
        this.dataHead(frame.streamId, frame.end, frame.data.length)
        return this.raw(frame.data)
      case "Reset":
        return this.reset(frame.streamId, frame.code, frame.reason)
      case "Credit":
        return this.credit(frame.streamId, frame.increment)
      case "GoAway":
        return this.goAway(frame.lastStreamId, frame.code, frame.reason)
      case "Ping":
        return this.ping(frame.data)
      case "Pong":
        return this.pong(frame.data)
      case "Ack":
        return this.ack(frame.received)
    }
  }

  private begin(type: number): number {
    this.writer.u8(type)
    return this.writer.length
  }

  private opaque(type: number, data: Uint8Array): void {
    this.begin(type)
    this.writer.varint(data.length)
    this.writer.raw(data)
  }
}

const utf8 = new TextEncoder()

/** The longest prefix of whole characters within the limit of a reason. @internal */
export const truncate = (reason: string, limit: number = maxReasonLength): string => {
  if (reason.length * 3 <= limit) return reason
  return reason.slice(0, utf8.encodeInto(reason, new Uint8Array(limit)).read)
}

/**
 * Messages to frames (PROTOCOL.md, "Messages" and "Frames").
 *
 * Decoding is total: any bytes give frames or a violation, in time and memory proportional to the message.
 */
import { ByteReader } from "./bytes.ts"
import { ErrorCode, type Violation, violation } from "./errorCode.ts"
import type { Decoded } from "./Frame.ts"
import {
  END,
  EXTENSION,
  FrameType,
  isFrameType,
  isLinkType,
  maxFramesInMessage,
  maxIncrement,
  maxPingLength,
  maxReasonLength,
  mayEnd
} from "./grammar.ts"
import { DecodedHead, decodeFields, decodeMethod, isMethod, isTarget } from "./head.ts"
import { DecodeTable } from "./headTable.ts"

/** What a decoder accepts; the settings that this end announced. @internal */
export interface DecoderLimits {
  readonly maxMessageSize: number
  readonly maxFrameSize: number
  readonly maxHeadSize: number
  readonly headTableSize: number
}

/** Answers what is wrong with a frame, if anything is. @internal */
export type OnFrame = (frame: Decoded) => Violation | undefined

/** A message that is decoded no further yet. */
interface Rest {
  readonly reader: ByteReader
  readonly size: number
  /** How many frames came before, and whether they are of the link: unknown until the first one that is no extension. */
  frames: number
  link: boolean | undefined
}

const never = () => false

/** @internal */
export class Decoder {
  private readonly limits: DecoderLimits
  readonly table: DecodeTable
  private rest: Rest | undefined = undefined

  constructor(limits: DecoderLimits) {
    this.limits = limits
    this.table = new DecodeTable(limits.headTableSize)
  }

  /** A message was decoded in part: `goOn` decodes what follows. */
  get isStopped(): boolean {
    return this.rest !== undefined
  }

  /**
   * Hands every frame of a message to `onFrame`, in order, until the end or the first violation of the connection,
   * found here or answered by `onFrame`; or until `stops`, which is asked after each frame.
   */
  decode(message: Uint8Array, onFrame: OnFrame, stops: () => boolean = never): Violation | undefined {
    if (message.length === 0) return violation(ErrorCode.PROTOCOL_ERROR, "an empty message")
    if (message.length > this.limits.maxMessageSize) {
      return violation(
        ErrorCode.FRAME_SIZE_ERROR,
        `a message of ${message.length} bytes, the limit is ${this.limits.maxMessageSize}`
      )
    }
    const reader = new ByteReader(message)
    return this.decodeFrames({ reader, size: message.length, frames: 0, link: undefined }, onFrame, stops)
  }

  /** Goes on with a message that was decoded in part. */
  goOn(onFrame: OnFrame, stops: () => boolean = never): Violation | undefined {
    const { rest } = this
    this.rest = undefined
    return rest && this.decodeFrames(rest, onFrame, stops)
  }

  private decodeFrames(rest: Rest, onFrame: OnFrame, stops: () => boolean): Violation | undefined {
    const { reader, size } = rest
    while (reader.at < size) {
      if (++rest.frames > maxFramesInMessage) {
        return violation(ErrorCode.EXCESSIVE_LOAD, `more than ${maxFramesInMessage} frames in one message`)
      }
      reader.end = size
      const typeByte = reader.u8()
      const type = typeByte & ~END
      if (!isFrameType(type)) return violation(ErrorCode.UNKNOWN_FRAME, `a frame of the unknown type ${type}`)
      const end = typeByte !== type
      if (end && !mayEnd(type)) return violation(ErrorCode.PROTOCOL_ERROR, `END on a frame of type ${type}`)
      if (type < EXTENSION) {
        const isLink = isLinkType(type)
        if (rest.link !== undefined && rest.link !== isLink) {
          return violation(ErrorCode.PROTOCOL_ERROR, "a message mixes frames of the link and of the connection")
        }
        rest.link = isLink
      }
      this.enterPayload(reader)
      if (reader.failed !== undefined) return reader.failed
      if (type >= EXTENSION) {
        reader.at = reader.end
        continue
      }
      const frame = this.decodePayload(type, end, reader)
      if (reader.at !== reader.end) reader.fail(ErrorCode.PROTOCOL_ERROR, "a frame has bytes behind its last member")
      if (reader.failed !== undefined) return reader.failed
      const refused = onFrame(frame)
      if (refused !== undefined) return refused
      if (stops() && reader.at < size) {
        this.rest = rest
        return undefined
      }
    }
    return undefined
  }

  /** Reads the length of a frame and confines the reader to its payload. */
  private enterPayload(reader: ByteReader): void {
    if (!reader.hasVarint) return reader.fail(ErrorCode.FRAME_SIZE_ERROR, "a message ends inside the length of a frame")
    const length = reader.varint()
    const { maxFrameSize } = this.limits
    if (length > maxFrameSize) {
      reader.fail(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes, the limit is ${maxFrameSize}`)
    } else if (length > reader.end - reader.at) {
      reader.fail(ErrorCode.FRAME_SIZE_ERROR, "a frame runs past the end of its message")
    } else {
      reader.end = reader.at + length
    }
  }

  /** Worthless when the reader has failed. */
  private decodePayload(type: number, end: boolean, reader: ByteReader): Decoded {
    switch (type) {
      case FrameType.REQUEST: {
        const streamId = decodeStreamId(reader)
        const method = decodeMethod(reader)
        const target = reader.string()
        const head = new DecodedHead(this.limits.maxHeadSize, target.length)
        if (!isMethod(method)) head.fault = "the method is not one that may be used"
        else if (!isTarget(target)) head.fault = "the target is not a path with an optional query, or *"
        decodeFields(reader, this.table, head)
        const spoilt = head.violation
        return spoilt === undefined
          ? { _tag: "Request", streamId, end, method, target, fields: head.fields }
          : { _tag: "Malformed", streamId, request: true, end, code: spoilt.code, reason: spoilt.reason }
      }
      case FrameType.RESPONSE: {
        const streamId = decodeStreamId(reader)
        const status = reader.varint()
        if (status < 200 || status > 599) reader.fail(ErrorCode.PROTOCOL_ERROR, `the status ${status}`)
        const head = new DecodedHead(this.limits.maxHeadSize, 0)
        decodeFields(reader, this.table, head)
        const spoilt = head.violation
        return spoilt === undefined
          ? { _tag: "Response", streamId, end, status, fields: head.fields }
          : { _tag: "Malformed", streamId, request: false, end, code: spoilt.code, reason: spoilt.reason }
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
}

/** Whether a valid message speaks of the link alone, so that it is not counted (PROTOCOL.md, "Messages"). @internal */
export const isLinkMessage = (message: Uint8Array): boolean => {
  const first = message[0]! & ~END
  if (first < EXTENSION) return isLinkType(first)
  // Extension frames may stand before those that tell.
  const reader = new ByteReader(message)
  while (reader.at < reader.end) {
    const type = reader.u8()
    if (type < EXTENSION) return isLinkType(type)
    const length = reader.varint()
    reader.at += length
  }
  return false
}

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

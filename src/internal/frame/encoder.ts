/**
 * Frames to messages (PROTOCOL.md, "Messages" and "Frames").
 */
import { ByteWriter, varintSize } from "./bytes.ts"
import type { Fields, Frame } from "./Frame.ts"
import { END, FrameType, maxFramesInMessage, maxReasonLength } from "./grammar.ts"
import { encodeFields, encodeMethod } from "./head.ts"
import { EncodeTable } from "./headTable.ts"

/** Bytes that a DATA frame adds to its data, at most. @internal */
export const maxFrameOverhead = 13

/**
 * Writes frames into one message after another. Heads change the head table: what was written must be sent.
 *
 * @internal
 */
export class Encoder {
  private readonly writer = new ByteWriter()
  readonly table: EncodeTable
  /** Frames of the message under way. */
  private frames = 0

  /** `headTableSize`: what the peer's settings announced. */
  constructor(headTableSize: number) {
    this.table = new EncodeTable(headTableSize)
  }

  /** Bytes of the message under way. */
  get length(): number {
    return this.writer.length
  }

  /** The message under way has no room for another frame, however small. */
  get isFull(): boolean {
    return this.frames >= maxFramesInMessage
  }

  /** Takes the message under way. */
  take(): Uint8Array<ArrayBuffer> {
    this.frames = 0
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
    this.frames++
    writer.u8(FrameType.DATA | (end ? END : 0))
    writer.varint(varintSize(streamId) + size)
    writer.varint(streamId)
  }

  raw(data: Uint8Array): void {
    this.writer.raw(data)
  }

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
    this.frames++
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

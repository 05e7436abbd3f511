/**
 * What is done of the frames of a WebSocket (RFC 6455 section 5.2) instead of `ws`: it unmasks byte by byte, and makes four objects
 * for the head of each frame. What is not done here is left to it.
 */
import { mask } from "../internal/link/mask.ts"
import { isTurnOver } from "../internal/scheduling/turn.ts"
import type { PartialMessage } from "./partialMessages.ts"

/** The private members of the receiver of `ws` that are used here. @internal */
export interface FrameReceiver extends PartialMessage {
  readonly _isServer: boolean
  readonly _binaryType: string
  /** Messages are handed on while the bytes that have them are parsed. */
  readonly _allowSynchronousEvents: boolean
  /** Bytes that a message may have; 0 for any number. */
  readonly _maxPayload: number
  /** Bytes that were read and not parsed. */
  readonly _buffers: ReadonlyArray<Buffer>
  /** The opcode of the frame that was parsed last, or in part. */
  readonly _opcode: number
  readonly _payloadLength: number
  /** Whether the payload of the frame is masked; set for each frame. */
  _masked: boolean
  readonly _mask: Buffer | undefined
  emit(event: "message", data: Buffer, isBinary: boolean): boolean
}

/** @internal */
export const closeFrame = 8

/** The first byte of a frame that is a whole binary message. */
const wholeBinary = 0x82

/** Unmasks the payload that comes next, where it is, if it has arrived. @internal */
export const unmaskPayload = (receiver: FrameReceiver): void => {
  const { _mask: key, _payloadLength: size } = receiver
  if (!receiver._masked || key === undefined || receiver._bufferedBytes < size) return
  receiver._masked = false
  let done = 0
  for (const buffer of receiver._buffers) {
    if (done === size) return
    const part = buffer.subarray(0, size - done)
    mask(part, key, done)
    done += part.length
  }
}

/** Whether nothing has arrived of the frame that comes next, and it may be a whole message. @internal */
export const mayReadWhole = (receiver: FrameReceiver): boolean =>
  receiver._state === 0 && receiver._fragmented === 0 && receiver._bufferedBytes === 0 &&
  receiver._opcode !== closeFrame && receiver._binaryType === "nodebuffer" && receiver._allowSynchronousEvents

/**
 * Hands on the whole binary messages that bytes begin with, until the turn of the event loop is over. Answers how many bytes they
 * have.
 *
 * @internal
 */
export const readWhole = (receiver: FrameReceiver, bytes: Buffer): number => {
  const { _isServer: isServer } = receiver
  const keySize = isServer ? 4 : 0
  let at = 0
  while (bytes.length - at >= 4 + keySize && bytes[at] === wholeBinary) {
    const second = bytes[at + 1]!
    const short = second & 0x7f
    if (second > 0x7f !== isServer || short === 127) return at
    const size = short === 126 ? bytes[at + 2]! * 0x100 + bytes[at + 3]! : short
    const start = at + (short === 126 ? 4 : 2) + keySize
    const end = start + size
    const { _maxPayload: maxPayload } = receiver
    if (end > bytes.length || (maxPayload > 0 && size > maxPayload)) return at
    const message = bytes.subarray(start, end)
    if (isServer) mask(message, bytes.subarray(start - keySize, start))
    at = end
    if (receiver.watched !== undefined) receiver.watched.messages++
    receiver.emit("message", message, true)
    if (isTurnOver(0)) return at
  }
  return at
}

/**
 * Frames of WebSockets (RFC 6455 section 5), as they are written. None is masked.
 */
import { truncate } from "../frame/encoder.ts"

/** @internal */
export const Opcode = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const

/** The first byte says that the message ends with this frame. @internal */
export const final = 0x80
/** @internal */
export const maxControl = 125
const maxCloseReason = maxControl - 2

const encoder = new TextEncoder()

/** Which codes a close frame may have: those that are registered or left to programs (RFC 6455 section 7.4). @internal */
export const isCloseCode = (code: number): boolean =>
  (code >= 3000 && code <= 4999) || (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006))

const header = (opcode: number, length: number): Uint8Array => {
  const extended = length <= maxControl ? 0 : length < 0x10000 ? 2 : 8
  const bytes = new Uint8Array(2 + extended)
  bytes[0] = final | opcode
  bytes[1] = extended === 0 ? length : extended === 2 ? 126 : 127
  for (let at = 1 + extended, rest = length; at > 1; at--) {
    bytes[at] = rest
    rest = Math.floor(rest / 0x100)
  }
  return bytes
}

/** A frame in parts. @internal */
export const frame = (opcode: number, payload: Uint8Array): ReadonlyArray<Uint8Array> =>
  payload.length === 0 ? [header(opcode, 0)] : [header(opcode, payload.length), payload]

/** A message is one frame. @internal */
export const message = (data: Uint8Array | string): ReadonlyArray<Uint8Array> =>
  typeof data === "string" ? frame(Opcode.TEXT, encoder.encode(data)) : frame(Opcode.BINARY, data)

/** The code 1005 stands for none. @internal */
export const close = (code: number, reason: string): ReadonlyArray<Uint8Array> => {
  if (code === 1005) return frame(Opcode.CLOSE, new Uint8Array(0))
  const text = encoder.encode(truncate(reason, maxCloseReason))
  const payload = new Uint8Array(2 + text.length)
  payload[0] = code >> 8
  payload[1] = code
  payload.set(text, 2)
  return frame(Opcode.CLOSE, payload)
}

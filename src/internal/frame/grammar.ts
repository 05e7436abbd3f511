/**
 * The numbers and patterns of frames (PROTOCOL.md, "Frames" and "Heads"). Their shapes are in `Frame.ts`, apart, because
 * only tests and types need schemas.
 */

/** @internal */
export const FrameType = {
  REQUEST: 0x01,
  RESPONSE: 0x02,
  DATA: 0x03,
  RESET: 0x04,
  CREDIT: 0x05,
  GOAWAY: 0x06,
  PING: 0x10,
  PONG: 0x11,
  ACK: 0x12
} as const

/** Set in the type byte of REQUEST, RESPONSE and DATA: the sender's half of the stream ends here. @internal */
export const END = 0x80

/** Frame types from here to 0x7f are extensions, ignored when unknown. @internal */
export const EXTENSION = 0x40

/** Whether a type, without END, is one of the above or an extension. @internal */
export const isFrameType = (type: number): boolean =>
  (type >= FrameType.REQUEST && type <= FrameType.GOAWAY) || (type >= FrameType.PING && type <= FrameType.ACK) ||
  type >= EXTENSION

/** Whether a known type may have END. @internal */
export const mayEnd = (type: number): boolean => type <= FrameType.DATA

/** Types 0x10-0x1f concern the link, not the connection, and travel in messages of their own. @internal */
export const isLinkType = (type: number): boolean => (type & 0xf0) === 0x10

/** A message with more has no good use, and keeps its receiver busy for long: frames of a few bytes cost as much as large ones. @internal */
export const maxFramesInMessage = 1024
/** @internal */
export const maxReasonLength = 256
/** @internal */
export const maxPingLength = 125
/** @internal */
export const maxTargetLength = 8192
/** @internal */
export const maxIncrement = 2147483647

/** @internal */
export const methodPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
/** @internal */
export const targetPattern = /^(?:\/[\x21\x22\x24-\x7e]*|\*)$/
/** @internal */
export const fieldNamePattern = /^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/

/** Fields of other transports: an encoder is not given them, a decoder drops them. @internal */
export const transportFields: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade"
])

/** The types of frames (PROTOCOL.md, "Frames"). */

/** @internal */
export const REQUEST = 0x01
/** @internal */
export const RESPONSE = 0x02
/** @internal */
export const DATA = 0x03
/** @internal */
export const RESET = 0x04
/** @internal */
export const CREDIT = 0x05
/** @internal */
export const GOAWAY = 0x06
/** @internal */
export const PING = 0x10
/** @internal */
export const PONG = 0x11
/** @internal */
export const ACK = 0x12

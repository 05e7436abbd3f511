/**
 * The numbers and patterns of frames (PROTOCOL.md, "Frames" and "Heads"). Their shapes are in `Frame.ts`, apart, because
 * only tests and types need schemas.
 */

/** Set in the type byte of REQUEST, RESPONSE and DATA: the sender's half of the stream ends here. @internal */
export const END = 0x80

/** Frame types from here to 0x7f are extensions, ignored when unknown. @internal */
export const EXTENSION = 0x40

/** By their byte in a REQUEST; 0 is a method that is written out. @internal */
export const methods = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"]

/** Set in the first byte of a field: the rest is the index of the whole field. @internal */
export const indexedField = 0x80
/** Set in the first byte of another field: it is added to the head table. The rest is the index of the name. @internal */
export const addedField = 0x40
/** Index of a name that says: the name, or a larger index, follows. @internal */
export const nameFollows = 63
/** Index of a field that says: the rest of the index follows. @internal */
export const indexFollows = 127

/** Types from here to 0x1f are of the link, not of the connection, and travel in messages of their own. @internal */
export const LINK = 0x10
/** Tells whether a type, without END, is one of those: `(type & linkMask) === LINK`. @internal */
export const linkMask = 0xf0

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
/** What the value of a field must not have. @internal */
// oxlint-disable-next-line no-control-regex
export const forbiddenInValue = /[\r\n\0]/

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

/** The one of them that is handed on where both ends know upgrades. @internal */
export const upgradeField = "upgrade"
/** The status of the answer that accepts an upgrade. @internal */
export const switchingProtocols = 101

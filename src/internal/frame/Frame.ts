/**
 * The closed set of frames of wire v2 (PROTOCOL.md, "Frames"), in the order of their type bytes.
 *
 * The schemas describe what `codec.ts` produces; the hot path builds the plain objects and does not run them.
 */
import * as Schema from "effect/Schema"

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

/** Types 0x10-0x1f concern the link, not the connection, and travel in messages of their own. @internal */
export const isLinkType = (type: number): boolean => (type & 0xf0) === 0x10

/** @internal */
export const maxReasonLength = 256
/** @internal */
export const maxPingLength = 125
/** @internal */
export const maxTargetLength = 8192
/** @internal */
export const maxIncrement = 2147483647

const UInt = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const StreamId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))
const Fields = Schema.Array(Schema.Tuple([Schema.String, Schema.String]))
const Bytes = Schema.Uint8Array

/** @internal */
export const Request = Schema.TaggedStruct("Request", {
  streamId: StreamId,
  end: Schema.Boolean,
  method: Schema.String,
  target: Schema.String,
  fields: Fields
})

/** @internal */
export const Response = Schema.TaggedStruct("Response", {
  streamId: StreamId,
  end: Schema.Boolean,
  status: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
  fields: Fields
})

/** @internal */
export const Data = Schema.TaggedStruct("Data", { streamId: StreamId, end: Schema.Boolean, data: Bytes })

/** @internal */
export const Reset = Schema.TaggedStruct("Reset", { streamId: StreamId, code: UInt, reason: Schema.String })

/** @internal */
export const Credit = Schema.TaggedStruct("Credit", {
  streamId: UInt,
  increment: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxIncrement }))
})

/** @internal */
export const GoAway = Schema.TaggedStruct("GoAway", { lastStreamId: UInt, code: UInt, reason: Schema.String })

/** @internal */
export const Ping = Schema.TaggedStruct("Ping", { data: Bytes })

/** @internal */
export const Pong = Schema.TaggedStruct("Pong", { data: Bytes })

/** @internal */
export const Ack = Schema.TaggedStruct("Ack", { received: UInt })

/**
 * A head that could be read but breaks a rule of HTTP: an error of its stream alone. Only a decoder produces it.
 *
 * @internal
 */
export const Malformed = Schema.TaggedStruct("Malformed", {
  streamId: StreamId,
  request: Schema.Boolean,
  end: Schema.Boolean,
  code: UInt,
  reason: Schema.String
})

/** @internal */
export const Frame = Schema.Union([Request, Response, Data, Reset, Credit, GoAway, Ping, Pong, Ack])

/** @internal */
export type Fields = ReadonlyArray<readonly [name: string, value: string]>
/** @internal */
export type Request = typeof Request.Type
/** @internal */
export type Response = typeof Response.Type
/** @internal */
export type Data = typeof Data.Type
/** @internal */
export type Reset = typeof Reset.Type
/** @internal */
export type Credit = typeof Credit.Type
/** @internal */
export type GoAway = typeof GoAway.Type
/** @internal */
export type Malformed = typeof Malformed.Type
/** @internal */
export type Frame = typeof Frame.Type
/** @internal */
export type Decoded = Frame | Malformed

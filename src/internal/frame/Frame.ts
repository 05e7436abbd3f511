/**
 * The closed set of frames of wire v2 (PROTOCOL.md, "Frames"), in the order of their type bytes.
 *
 * The schemas describe what `decoder.ts` produces; the hot path builds the plain objects and does not run them.
 */
import * as Schema from "effect/Schema"
import { utf8Length } from "./bytes.ts"
import {
  fieldNamePattern,
  maxIncrement,
  maxPingLength,
  maxReasonLength,
  maxTargetLength,
  methodPattern,
  switchingProtocols,
  targetPattern,
  transportFields,
  upgradeField
} from "./grammar.ts"

const UInt = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
const StreamId = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))
const Method = Schema.String.check(Schema.isPattern(methodPattern), Schema.makeFilter((method) => method !== "CONNECT"))
const Target = Schema.String.check(Schema.isPattern(targetPattern), Schema.isMaxLength(maxTargetLength))
const FieldName = Schema.String.check(
  Schema.isPattern(fieldNamePattern),
  Schema.makeFilter((name) => !transportFields.has(name) || name === upgradeField)
)
// oxlint-disable-next-line no-control-regex
const FieldValue = Schema.String.check(Schema.isPattern(/^[^\r\n\0\ud800-\udfff]*$/u))
const Fields = Schema.Array(Schema.Tuple([FieldName, FieldValue]))
const Reason = Schema.String.check(
  Schema.isPattern(/^[^\ud800-\udfff]*$/u),
  Schema.makeFilter((reason) => utf8Length(reason) <= maxReasonLength)
)
const Bytes = Schema.Uint8Array
const PingData = Bytes.check(Schema.isMaxLength(maxPingLength))

/** @internal */
export const Request = Schema.TaggedStruct("Request", {
  streamId: StreamId,
  end: Schema.Boolean,
  method: Method,
  target: Target,
  fields: Fields
})

/** @internal */
export const Response = Schema.TaggedStruct("Response", {
  streamId: StreamId,
  end: Schema.Boolean,
  status: Schema.Union([
    Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
    Schema.Literal(switchingProtocols)
  ]),
  fields: Fields
})

/** @internal */
export const Data = Schema.TaggedStruct("Data", { streamId: StreamId, end: Schema.Boolean, data: Bytes })

/** @internal */
export const Reset = Schema.TaggedStruct("Reset", { streamId: StreamId, code: UInt, reason: Reason })

/** @internal */
export const Credit = Schema.TaggedStruct("Credit", {
  streamId: UInt,
  increment: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maxIncrement }))
})

/** @internal */
export const GoAway = Schema.TaggedStruct("GoAway", { lastStreamId: UInt, code: UInt, reason: Reason })

/** @internal */
export const Ping = Schema.TaggedStruct("Ping", { data: PingData })

/** @internal */
export const Pong = Schema.TaggedStruct("Pong", { data: PingData })

/** @internal */
export const Ack = Schema.TaggedStruct("Ack", { received: UInt })

/**
 * A head that could be read but is forbidden or too large: an error of its stream alone. Only a decoder produces it.
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

/**
 * Header fields, in order; names in lower case. A name may occur more than once.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = ReadonlyArray<readonly [name: string, value: string]>

/**
 * A request of the peer. `end`: it has no body.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = typeof Request.Type
/** @internal */
export type Response = typeof Response.Type
/** @internal */
export type Data = typeof Data.Type
/** @internal */
export type Reset = typeof Reset.Type
/** @internal */
export type Credit = typeof Credit.Type

/**
 * The peer takes no more requests; those on its streams above `lastStreamId` were not processed.
 *
 * @since 0.1.0
 * @category models
 */
export type GoAway = typeof GoAway.Type
/** @internal */
export type Malformed = typeof Malformed.Type
/** @internal */
export type Frame = typeof Frame.Type
/** @internal */
export type Decoded = Frame | Malformed

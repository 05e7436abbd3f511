/**
 * Error codes of RESET and GOAWAY frames and the close codes derived from them (PROTOCOL.md, "Error codes").
 */

/**
 * The codes of failures and violations (PROTOCOL.md, "Error codes").
 *
 * **Example** (Refusing a request)
 *
 * ```ts
 * import * as Multiplexer from "effect-swaggersocket/Multiplexer"
 *
 * export const refusal: Multiplexer.Violation = {
 *   code: Multiplexer.ErrorCode.REFUSED_STREAM,
 *   reason: "no more requests now"
 * }
 * ```
 *
 * @since 0.1.0
 * @category constants
 */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 4,
  FRAME_SIZE_ERROR: 5,
  REFUSED_STREAM: 6,
  CANCELLED: 7,
  HEAD_TABLE_ERROR: 8,
  EXCESSIVE_LOAD: 9,
  MALFORMED: 10,
  HEAD_TOO_LARGE: 11,
  UNKNOWN_FRAME: 12,
  HEARTBEAT_TIMEOUT: 13,
  NOT_SERVING: 14,
  STREAM_ID_ERROR: 15
} as const

/** @internal */
export type ErrorCodeName = keyof typeof ErrorCode

const names = Object.keys(ErrorCode) as ReadonlyArray<ErrorCodeName>

/**
 * The name of a code received from the peer; one this version does not know counts as `INTERNAL_ERROR`.
 *
 * @internal
 */
export const errorCodeName = (code: number): ErrorCodeName => names[code] ?? "INTERNAL_ERROR"

/** Close codes below 4100 name the connection error that ended the link. */
const closeCodeBase = 4000

/** @internal */
export const closeCodeOf = (code: number): number => closeCodeBase + code

/** @internal */
export const errorCodeOfClose = (closeCode: number): ErrorCodeName | undefined => names[closeCode - closeCodeBase]

/** @internal */
export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  ABNORMAL: 1006,
  TOO_LONG: 1009,
  /** The link is given up; the connection goes on with another. */
  RESUMING: 4110
} as const

/** Refusals of the handshake; each is the name in a `refuse` message and the close code that follows it. @internal */
export const RefusalCode = {
  HANDSHAKE_INVALID: 4100,
  HANDSHAKE_TIMEOUT: 4101,
  VERSION_UNSUPPORTED: 4102,
  METADATA_INVALID: 4103,
  UNAUTHENTICATED: 4104,
  FORBIDDEN: 4105,
  OVERLOADED: 4106,
  GOING_AWAY: 4107,
  RESUME_REJECTED: 4108,
  REPLACED: 4109,
  IDENTITY_REPLACED: 4111,
  IDENTITY_IN_USE: 4112
} as const

/** @internal */
export type RefusalCodeName = keyof typeof RefusalCode

/** Refusals after which dialling again as before can help (PROTOCOL.md, "Close codes"). @internal */
export const retryableRefusals: ReadonlySet<string> = new Set<RefusalCodeName>([
  "HANDSHAKE_TIMEOUT",
  "OVERLOADED",
  "GOING_AWAY",
  "RESUME_REJECTED",
  "REPLACED",
  "IDENTITY_IN_USE"
])

/**
 * What the peer did wrong, for a RESET (one stream) or a GOAWAY (the connection).
 *
 * @since 0.1.0
 * @category models
 */
export interface Violation {
  /** An `ErrorCode`. */
  readonly code: number
  /** For people. */
  readonly reason: string
}

/** @internal */
export const violation = (code: number, reason: string): Violation => ({ code, reason })

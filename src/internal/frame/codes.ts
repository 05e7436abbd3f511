/**
 * The names of error codes, the close codes derived from them (PROTOCOL.md, "Error codes"), and refusals.
 */
import * as Codes from "./ErrorCode.ts"

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
  NO_ERROR: Codes.NO_ERROR,
  PROTOCOL_ERROR: Codes.PROTOCOL_ERROR,
  INTERNAL_ERROR: Codes.INTERNAL_ERROR,
  FLOW_CONTROL_ERROR: Codes.FLOW_CONTROL_ERROR,
  STREAM_CLOSED: Codes.STREAM_CLOSED,
  FRAME_SIZE_ERROR: Codes.FRAME_SIZE_ERROR,
  REFUSED_STREAM: Codes.REFUSED_STREAM,
  CANCELLED: Codes.CANCELLED,
  HEAD_TABLE_ERROR: Codes.HEAD_TABLE_ERROR,
  EXCESSIVE_LOAD: Codes.EXCESSIVE_LOAD,
  MALFORMED: Codes.MALFORMED,
  HEAD_TOO_LARGE: Codes.HEAD_TOO_LARGE,
  UNKNOWN_FRAME: Codes.UNKNOWN_FRAME,
  HEARTBEAT_TIMEOUT: Codes.HEARTBEAT_TIMEOUT,
  NOT_SERVING: Codes.NOT_SERVING,
  STREAM_ID_ERROR: Codes.STREAM_ID_ERROR
} as const satisfies typeof Codes

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

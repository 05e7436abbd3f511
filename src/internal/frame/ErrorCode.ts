/**
 * The codes of failures and violations (PROTOCOL.md, "Error codes"). Each is a constant of its own, and not the member of an
 * object: bundlers then put the number where the name stands.
 */

/** @internal */
export const NO_ERROR = 0
/** @internal */
export const PROTOCOL_ERROR = 1
/** @internal */
export const INTERNAL_ERROR = 2
/** @internal */
export const FLOW_CONTROL_ERROR = 3
/** @internal */
export const STREAM_CLOSED = 4
/** @internal */
export const FRAME_SIZE_ERROR = 5
/** @internal */
export const REFUSED_STREAM = 6
/** @internal */
export const CANCELLED = 7
/** @internal */
export const HEAD_TABLE_ERROR = 8
/** @internal */
export const EXCESSIVE_LOAD = 9
/** @internal */
export const MALFORMED = 10
/** @internal */
export const HEAD_TOO_LARGE = 11
/** @internal */
export const UNKNOWN_FRAME = 12
/** @internal */
export const HEARTBEAT_TIMEOUT = 13
/** @internal */
export const NOT_SERVING = 14
/** @internal */
export const STREAM_ID_ERROR = 15

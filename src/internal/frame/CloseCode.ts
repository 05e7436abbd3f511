/** Close codes of WebSockets (RFC 6455, 7.4), and one of this protocol's own (PROTOCOL.md, "Close codes"). */

/** @internal */
export const NORMAL = 1000
/** @internal */
export const GOING_AWAY = 1001
/** @internal */
export const PROTOCOL_ERROR = 1002
/** @internal */
export const ABNORMAL = 1006
/** Text that is no UTF-8. @internal */
export const NOT_UTF8 = 1007
/** More than the peer may send. @internal */
export const EXCESSIVE = 1008
/** @internal */
export const TOO_LONG = 1009
/** The link is given up; the connection goes on with another. @internal */
export const RESUMING = 4110

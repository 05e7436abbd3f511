/**
 * The field and the error codes of relays (PROTOCOL.md, "Error codes" and "Node links").
 */

/** Names the connection that a request of another node is for. @internal */
export const connectionField = "swaggersocket-connection"

/** There is no such connection on this node: the request was not processed, and would not be the next time. @internal */
export const NO_SUCH_CONNECTION = 100

/** The connection that the request was passed on to has ended: its outcome is unknown. @internal */
export const CONNECTION_LOST = 101

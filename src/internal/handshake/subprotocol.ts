/**
 * The WebSocket subprotocol of wire v2 (PROTOCOL.md, "Negotiation").
 *
 * @internal
 */
export const subprotocol = "swaggersocket.v2"

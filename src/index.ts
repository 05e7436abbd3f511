/**
 * REST over WebSocket for Effect: either end of one connection serves an ordinary HTTP API and calls the other's.
 *
 * @since 0.1.0
 */
export * as ApiClient from "./ApiClient.ts"
export * as ApiServer from "./ApiServer.ts"
export * as ApiWebSocket from "./ApiWebSocket.ts"
export * as Connection from "./Connection.ts"
export * as ConnectionEvent from "./ConnectionEvent.ts"
export * as Directory from "./Directory.ts"
export * as Fleet from "./Fleet.ts"
export * as Handshake from "./Handshake.ts"
export * as Heartbeat from "./Heartbeat.ts"
export * as Idempotency from "./Idempotency.ts"
export * as Limits from "./Limits.ts"
export * as Link from "./Link.ts"
export * as Multiplexer from "./Multiplexer.ts"
export * as NodeLinks from "./NodeLinks.ts"
export * as Quotas from "./Quotas.ts"
export * as Reconnection from "./Reconnection.ts"
export * as Relay from "./Relay.ts"
export * as StreamingClient from "./StreamingClient.ts"
export * as StreamingEndpoint from "./StreamingEndpoint.ts"
export * as StreamingServer from "./StreamingServer.ts"
export * as SwaggerSocketClient from "./SwaggerSocketClient.ts"
export * as SwaggerSocketError from "./SwaggerSocketError.ts"
export * as SwaggerSocketServer from "./SwaggerSocketServer.ts"
export * as SwaggerSocketTest from "./SwaggerSocketTest.ts"

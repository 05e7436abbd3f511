/**
 * What browsers add: their own WebSocket, for clients.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"

/**
 * The WebSocket of the platform. It can't send header fields: authenticate by metadata.
 *
 * **Example** (A page)
 *
 * ```ts
 * import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Page = SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" }).pipe(
 *   Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> =
  Socket.layerWebSocketConstructorGlobal

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
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> =
  Socket.layerWebSocketConstructorGlobal

/**
 * The client of the shared worker, and of pages where there is none.
 */
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Layer from "effect/Layer"

export const Hub = SwaggerSocketClient.layer({ url: "/socket" }).pipe(
  Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
)

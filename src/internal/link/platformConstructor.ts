/**
 * The WebSocket of runtimes other than Node that let a client send header fields.
 */
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"

/** Their constructor takes an object as well, which the web's does not. */
type Construct = new(url: string, options?: Socket.WebSocketConstructorOptions) => Socket.WebSocketLike

/** @internal */
export const layerWithFields: Layer.Layer<Socket.WebSocketConstructor> = Layer.succeed(
  Socket.WebSocketConstructor,
  (url, options) => new (globalThis.WebSocket as unknown as Construct)(url, options)
)

/**
 * WebSockets inside a connection, on the end that asks for them: what runs on Effect's `Socket` runs on a stream of the
 * connection, `RpcClient` above all. The end that serves needs nothing but `HttpServerRequest.upgrade`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import { connect, makeSocket } from "./internal/http/clientWebSocket.ts"
import { ConnectedWebSocket } from "./internal/http/connectedWebSocket.ts"

/**
 * How a WebSocket is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Subprotocols that are offered. */
  readonly protocols?: string | ReadonlyArray<string> | undefined
  /** Fields of the request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** How long the answer may take. Default 10 seconds. */
  readonly openTimeout?: Duration.Input | undefined
  /** Bytes of a message that is received; a larger one closes the WebSocket with 1009. Default 16 MiB. */
  readonly maxMessageSize?: number | undefined
}

/**
 * A socket over a WebSocket inside a connection. Each reader asks for another WebSocket, at the end of which `pull` fails with its
 * close code; 1006 if the connection was lost for good. A lost link that is resumed is not noticed.
 *
 * **When to use**
 *
 * Where a program uses a `Socket`: writers wait while the peer does not read. `layerWebSocketConstructor` is for those that make
 * WebSockets themselves.
 *
 * **Details**
 *
 * The URL is a path, or a whole URL whose authority becomes the `host` field; all WebSockets go to the peer. The `HttpClient` has to
 * be one of `ApiClient`, with whatever was added to it: other headers, a base URL.
 *
 * **Example** (A device's log, as it is written)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as Effect from "effect/Effect"
 * import * as Socket from "effect/socket/Socket"
 * import * as Stream from "effect/Stream"
 *
 * export const log = (device: Connection.Connection) =>
 *   Stream.unwrap(Effect.map(ApiWebSocket.make("/log"), Socket.toStream)).pipe(
 *     Stream.provide(ApiClient.layerConnection(device))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  url: string | Effect.Effect<string>,
  options: Options = {}
): Effect.Effect<Socket.Socket, never, HttpClient.HttpClient> =>
  Effect.map(
    HttpClient.HttpClient,
    (client) => makeSocket(client, typeof url === "string" ? Effect.succeed(url) : url, options)
  )

/**
 * `Socket` over a WebSocket inside a connection; see `make`.
 *
 * **Example** (RPC with the hub)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
 * import * as Layer from "effect/Layer"
 * import * as RpcClient from "effect/rpc/RpcClient"
 * import * as RpcSerialization from "effect/rpc/RpcSerialization"
 *
 * export const Protocol = RpcClient.layerProtocolSocket().pipe(
 *   Layer.provide([ApiWebSocket.layer("/rpc"), RpcSerialization.layerJson]),
 *   Layer.provide(ApiClient.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  url: string | Effect.Effect<string>,
  options?: Options
): Layer.Layer<Socket.Socket, never, HttpClient.HttpClient> => Layer.effect(Socket.Socket, make(url, options))

/**
 * Makes WebSockets inside a connection, for `Socket.makeWebSocket` and whatever else takes a `WebSocketConstructor`.
 *
 * **Details**
 *
 * They are closed with the layer's scope. What they have is what `Socket.WebSocketLike` has, and `bufferedAmount`, `protocol`,
 * `pause` and `resume`. As with other WebSockets, what is sent to a peer that does not read waits in memory, up to
 * `Limits.maxUnsentBytes`.
 *
 * **Example** (A library that wants a WebSocket)
 *
 * ```ts
 * import * as ApiClient from "effect-swaggersocket/ApiClient"
 * import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Socket from "effect/socket/Socket"
 *
 * const WebSockets = ApiWebSocket.layerWebSocketConstructor.pipe(Layer.provide(ApiClient.layer))
 *
 * export const greeting = Effect.gen(function*() {
 *   const webSocket = (yield* Socket.WebSocketConstructor)("/greetings")
 *   webSocket.addEventListener("message", ({ data }) => console.log(data))
 * }).pipe(Effect.provide(WebSockets))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<
  Socket.WebSocketConstructor,
  never,
  HttpClient.HttpClient
> = Layer.effect(
  Socket.WebSocketConstructor,
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    return (url: string, given?: Socket.WebSocketConstructorOptions) => {
      const options = typeof given === "object" && !Array.isArray(given) ? given : { protocols: given }
      return new ConnectedWebSocket(
        url,
        (restore) => connect(client, url, options, restore),
        (effect) => Fiber.runIn(fork(effect), scope)
      )
    }
  })
)

/**
 * The API role of the server: Effect's `HttpServer` on connections, for whatever can be served on one:
 * `HttpRouter.serve`, `HttpApiBuilder`, static files, RPC over HTTP.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Connection from "./Connection.ts"
import { type Apps, appsOf, peerOf } from "./internal/connection/peer.ts"
import { addApp } from "./internal/http/addApp.ts"
import { own } from "./internal/http/ownLayer.ts"
import { makeApp } from "./internal/http/serverExchange.ts"
import { serve as serveWebHandler } from "./internal/http/webHandler.ts"
import { SwaggerSocketClient } from "./SwaggerSocketClient.ts"
import type { Current, SwaggerSocketServer } from "./SwaggerSocketServer.ts"

/** An `HttpServer` must have an address, and a connection has none. Logs show this one as `unix://swaggersocket`. */
const address = NetAddress.unixPathAddress("swaggersocket")

const make = (apps: Apps): HttpServer.HttpServer["Service"] =>
  HttpServer.make({
    address,
    serve: (httpApp, middleware) =>
      Effect.gen(function*() {
        const { app, idle } = yield* makeApp(httpApp, middleware)
        yield* addApp(apps, app, idle)
      })
  })

/**
 * An `HttpServer`, and `I`: what its handlers may require of their request, the connection that it arrived on. That is
 * a type alone. `HttpRouter.serve` makes requirements of its handlers requirements of the layer, and each request is
 * given its own connection.
 */
const layerOf = <I, R>(apps: Effect.Effect<Apps, never, R>): Layer.Layer<HttpServer.HttpServer | I, never, R> =>
  own(Layer.effect(HttpServer.HttpServer, Effect.map(apps, make))) as Layer.Layer<HttpServer.HttpServer | I, never, R>

/**
 * Makes an HTTP app of a web handler, which takes a `Request` and answers with a `Response` or a promise of one: the `fetch`
 * of an app of Hono, Elysia or itty-router, for instance. As `HttpEffect.fromWebHandler`, but for connections only.
 *
 * **Details**
 *
 * A handler may answer with a response of the platform's `fetch`: `fetch` has decoded its body, so it is sent without the
 * `content-encoding` and `content-length` that it came with. All `set-cookie` fields are sent, also several of one name. A
 * request whose fields have text that a `Request` can't hold (beyond Latin-1) is answered 400. The `signal` of a request is
 * aborted when its caller gives up.
 *
 * **Example** (A proxy of another server)
 *
 * ```ts
 * import * as HttpServer from "effect/http/HttpServer"
 * import * as Layer from "effect/Layer"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 *
 * export const Proxy = HttpServer.serve(
 *   ApiServer.fromWebHandler((request) => fetch(`http://localhost:8080${new URL(request.url).pathname}`))
 * ).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromWebHandler: (
  handler: (request: Request) => Response | PromiseLike<Response>
) => Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError.HttpServerError,
  HttpServerRequest.HttpServerRequest
> = serveWebHandler

/**
 * Serves on the connection of the client, and again on each that follows it.
 *
 * **Details**
 *
 * What is served last answers, as long as its scope is open. Until something is served, the peer's calls are refused as
 * `NOT_SERVING`, which says that they were not processed; its `ApiClient` repeats them for a while.
 *
 * When the scope closes, requests in progress may go on for `Limits.drainTimeout` (PROTOCOL.md, "Drain"). Answers that
 * nobody reads are waited for no longer than `Limits.closeTimeout`.
 *
 * **Example** (A device that serves its API on the socket it dialled)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * export const Device = HttpRouter.serve(
 *   HttpRouter.add("GET", "/temperature", HttpServerResponse.json({ celsius: 21 }))
 * ).pipe(
 *   Layer.provide(ApiServer.layer),
 *   Layer.provide(SwaggerSocketClient.layer({ url: "ws://localhost:3000/socket" })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<HttpServer.HttpServer | Connection.Connection, never, SwaggerSocketClient> = layerOf(
  Effect.map(SwaggerSocketClient, appsOf)
)

/**
 * Serves on every connection of a server, those that are open and those to come.
 *
 * **Details**
 *
 * When the scope closes and nothing else is served, the connections are drained: the clients are told to go elsewhere,
 * requests in progress may go on for `Limits.drainTimeout`, and nobody new is let in meanwhile.
 *
 * **Example** (A server's API, on its clients' sockets)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Api = HttpRouter.serve(
 *   HttpRouter.add("GET", "/time", HttpServerResponse.text("now"))
 * ).pipe(Layer.provide(ApiServer.layerServer(Devices)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerServer = <I, M, P>(
  server: Context.Service<I, SwaggerSocketServer<M, P>>
): Layer.Layer<HttpServer.HttpServer | Connection.Connection | Current<I>, never, I> =>
  layerOf(Effect.map(server, appsOf))

/**
 * Serves on one connection only, before what is served on all of them.
 *
 * **Example** (An API for one of the devices)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 *
 * export const firmwareFor = (device: Connection.Connection) =>
 *   HttpRouter.serve(HttpRouter.add("GET", "/firmware", HttpServerResponse.file("firmware.bin"))).pipe(
 *     Layer.provide(ApiServer.layerConnection(device))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConnection = <M, P>(
  connection: Connection.Connection<M, P>
): Layer.Layer<HttpServer.HttpServer | Connection.Connection> => layerOf(Effect.sync(() => peerOf(connection).apps))

/**
 * The ways to connect two ends on wire v2 that have to carry HTTP.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import type * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/Peers") {}

/** The URL of the server in context, as a WebSocket. */
const socketUrl = Effect.map(
  HttpServer.HttpServer,
  (server) =>
    `${NetAddress.formatUrlUnsafe(server.address).replace("http", "ws").replace("0.0.0.0", "127.0.0.1")}/socket`
)

/** A server and a client, joined by a real WebSocket on loopback. */
const Joined = Layer.unwrap(Effect.map(socketUrl, (url) => SwaggerSocketClient.layer({ url }))).pipe(
  Layer.provideMerge(
    HttpRouter.serve(Peers.layer({ path: "/socket" }), { disableLogger: true, disableListenLog: true })
  ),
  Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const OnServer = Layer.merge(ApiServer.layerServer(Peers), ApiClient.layer)

const OnClient = Layer.merge(
  ApiServer.layer,
  Layer.unwrap(Effect.gen(function*() {
    const peers = yield* Peers
    return ApiClient.layerConnection(yield* peers.awaitConnection())
  }))
)

const Platform = NodeHttpServer.layerHttpServices

const overWebSocket = (api: typeof OnServer | typeof OnClient) => Layer.merge(Platform, Layer.provide(api, Joined))

const inMemory = (api: typeof OnServer | typeof OnClient) =>
  Layer.merge(Platform, Layer.provide(api, SwaggerSocketTest.layer(Peers)))

/** By name. */
export const transports: Readonly<Record<string, Layer.Layer<HttpSemantics.Services, unknown>>> = {
  "API on the server, over a WebSocket": overWebSocket(OnServer),
  "API on the client, over a WebSocket": overWebSocket(OnClient),
  "API on the server, in memory": inMemory(OnServer),
  "API on the client, in memory": inMemory(OnClient)
}

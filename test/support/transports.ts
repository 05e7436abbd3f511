/**
 * The ways to connect two ends that have to carry HTTP: over a WebSocket on loopback and in memory, with the API on either
 * end.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
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

const OnServer = Layer.merge(ApiServer.layerServer(Peers), ApiClient.layer)

const OnClient = Layer.merge(
  ApiServer.layer,
  Layer.unwrap(Effect.gen(function*() {
    const peers = yield* Peers
    return ApiClient.layerConnection(yield* peers.awaitConnection())
  }))
)

interface Options {
  readonly wire?: "v1" | "v2"
  readonly limits?: Limits.Options
}

/** A server and a client, joined by a real WebSocket on loopback. */
const overWebSocket = ({ limits, wire }: Options) =>
  Layer.unwrap(Effect.map(
    HttpServer.HttpServer,
    (server) =>
      SwaggerSocketClient.layer({
        url: `${NetAddress.formatUrlUnsafe(server.address).replace("http", "ws")}/socket`,
        wire,
        limits
      })
  )).pipe(
    Layer.provideMerge(
      HttpRouter.serve(Peers.layer({ path: "/socket", limits }), { disableLogger: true, disableListenLog: true })
    ),
    Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )

const inMemory = ({ limits, wire }: Options) => SwaggerSocketTest.layer(Peers, { wire, limits, serverLimits: limits })

/** By name. */
export const makeTransports = (
  options: Options = {}
): Readonly<Record<string, Layer.Layer<HttpSemantics.Services, unknown>>> => {
  const connect = (api: typeof OnServer | typeof OnClient, peers: typeof overWebSocket | typeof inMemory) =>
    Layer.merge(NodeHttpServer.layerHttpServices, Layer.provide(api, peers(options)))
  return {
    "API on the server, over a WebSocket": connect(OnServer, overWebSocket),
    "API on the client, over a WebSocket": connect(OnClient, overWebSocket),
    "API on the server, in memory": connect(OnServer, inMemory),
    "API on the client, in memory": connect(OnClient, inMemory)
  }
}

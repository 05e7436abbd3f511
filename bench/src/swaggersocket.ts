import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { getItem, layerHttpServer, makeRuntime, operation, quiet, routes, serve } from "./effect.ts"
import type { Peer } from "./peer.ts"

class Benches extends SwaggerSocketServer.Service<Benches>()("Benches", {
  metadata: Schema.Struct({ name: Schema.String })
}) {}

/** This project, with the limits of a scenario on both ends. */
export const makePeer = (title: string, limits: Limits.Options = {}): Peer => ({
  title,

  serve: () =>
    serve(
      HttpRouter.serve(routes, quiet).pipe(
        Layer.provide(ApiServer.layerServer(Benches)),
        Layer.provideMerge(HttpRouter.serve(Benches.layer({ path: "/socket", limits }), quiet)),
        Layer.provideMerge(layerHttpServer)
      )
    ),

  async connect(port) {
    const runtime = makeRuntime(ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({
        url: `ws://127.0.0.1:${port}/socket`,
        metadata: { name: "bench" },
        limits
      })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    ))
    await runtime.runPromise(Effect.flatMap(SwaggerSocketClient.SwaggerSocketClient, (socket) => socket.connection))
    const client = await runtime.runPromise(HttpClient.HttpClient)
    return { small: operation(runtime, getItem(client, "http://bench")) }
  }
})

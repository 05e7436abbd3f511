/**
 * A server and clients of this package, as peers under test of traces.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schedule from "effect/Schedule"
import { traceApi } from "./traceApi.ts"

class Hub extends SwaggerSocketServer.Service<Hub, string>()("test/traces/Hub") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

const http = NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })

/** Traces leave connections without links behind, and handlers that never end: nobody waits for those. */
const limits = { drainTimeout: "300 millis", closeTimeout: "100 millis" } as const

/** Answers the URL of its socket. */
export const startServer = Effect.gen(function*() {
  const context = yield* Layer.build(
    HttpRouter.serve(traceApi, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provideMerge(
        HttpRouter.serve(Hub.layer({ path: "/socket", authenticate: () => Effect.succeed("somebody"), limits }), quiet)
      ),
      Layer.provideMerge(http)
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  return `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket`
})

/** A client that dials again after whatever end. */
export const startClient = (url: string) =>
  Layer.build(
    HttpRouter.serve(traceApi, quiet).pipe(
      Layer.provide(ApiServer.layer),
      Layer.provide(SwaggerSocketClient.layer({ url, wire: "v2", limits })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
      Layer.provide(http),
      Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("5 millis"), retry: () => true }))
    )
  )

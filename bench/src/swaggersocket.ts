/**
 * The peers of this project.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { makeRuntime, quiet, serve } from "./effect.ts"
import { operations, routes } from "./httpRouter.ts"
import type { Client, Peer } from "./peer.ts"

class Benches extends SwaggerSocketServer.Service<Benches>()("Benches", {
  metadata: Schema.Struct({ name: Schema.String })
}) {}

/** Ten thousand calls at once wait for as long as they take, and ten thousand clients dial at once from one address. */
const quotas = {
  perAddress: { connections: Infinity, pendingHandshakes: Infinity, handshakesPerSecond: Infinity },
  server: { pendingHandshakes: Infinity, callDelay: Infinity }
}

const layerHttpServer = NodeSwaggerSocket.layerHttpServer({ host: "127.0.0.1", port: 0 })

/** Serves routes on all connections. */
export const serveOnSockets = (
  routes: Layer.Layer<never, never, HttpRouter.HttpRouter | Layer.Success<typeof layerHttpServer>>,
  limits: Limits.Options = {}
): Promise<number> =>
  serve(
    HttpRouter.serve(routes, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Benches)),
      Layer.provideMerge(HttpRouter.serve(Benches.layer({ path: "/socket", limits, quotas }), quiet)),
      Layer.provideMerge(layerHttpServer)
    )
  )

/** A server that calls whoever connects: where it listens, and the first connection. */
export const hub = async () => {
  const runtime = makeRuntime(
    HttpRouter.serve(Benches.layer({ path: "/socket", quotas }), quiet).pipe(Layer.provideMerge(layerHttpServer))
  )
  const { address } = await runtime.runPromise(HttpServer.HttpServer)
  if (!("port" in address)) throw new Error("not a TCP address")
  const connection = runtime.runPromise(Effect.flatMap(Benches, (benches) => benches.awaitConnection()))
  return { runtime, port: address.port, connection }
}

/** A runtime with the `HttpClient` of a connection that is open. */
export const connectSocket = async (port: number, limits: Limits.Options = {}) => {
  const runtime = makeRuntime(ApiClient.layer.pipe(
    Layer.provideMerge(SwaggerSocketClient.layer({
      url: `ws://127.0.0.1:${port}/socket`,
      metadata: { name: "bench" },
      limits
    })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  ))
  await runtime.runPromise(Effect.flatMap(SwaggerSocketClient.SwaggerSocketClient, (socket) => socket.connection))
  return runtime
}

type Operations = ReturnType<typeof operations>

/** Peers with limits of their own on both ends, and of the operations those that they are for. */
export const makePeer = (
  title: string,
  limits: Limits.Options = {},
  choose: (operations: Operations) => Client = (operations) => operations
): Peer => ({
  title: `effect-swaggersocket, ${title}`,
  serve: () => serveOnSockets(routes, limits),
  async connect(port) {
    const runtime = await connectSocket(port, limits)
    return { connection: true, ...choose(operations(runtime, await runtime.runPromise(HttpClient.HttpClient))) }
  }
})

import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { awaitCallers, dialMe } from "../dialBack.ts"
import { makeRuntime, quiet } from "../effect.ts"
import { operations, routes } from "../httpRouter.ts"
import type { Peer } from "../peer.ts"
import { hub } from "../swaggersocket.ts"

const device = (port: number) =>
  HttpRouter.serve(routes, quiet).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provide(SwaggerSocketClient.layer({ url: `ws://127.0.0.1:${port}/socket`, metadata: { name: "bench" } })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )

const peer: Peer = {
  title: "effect-swaggersocket where the end that serves has dialled: it masks its answers",

  serve: () => awaitCallers((port) => makeRuntime(device(port)).runPromise(Effect.void)),

  async connect(port) {
    const { connection, port: own, runtime } = await hub()
    await dialMe(port, own)
    return operations(runtime, ApiClient.make(await connection))
  }
}

export default peer

import * as NodeWS from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { layerHttpServer, makeRuntime, operation, quiet, serve, tracing } from "../effect.ts"
import { headers, item, type Peer } from "../peer.ts"

const Items = RpcGroup.make(
  Rpc.make("small", {
    payload: { id: Schema.Number },
    success: Schema.Struct({
      id: Schema.Number,
      name: Schema.String,
      site: Schema.String,
      state: Schema.String,
      temperature: Schema.Number,
      seenAt: Schema.String
    })
  })
)

// Compared with layerJson and layerNdjson, and a little faster than both
const layerSerialization = RpcSerialization.layerSchemaBinary()

const layerRpc = RpcServer.layer(Items, { disableTracing: !tracing }).pipe(
  Layer.provide(Items.toLayer({
    small: ({ id }, { headers }) =>
      headers["x-request-id"] === String(id) ? Effect.succeed(item(id)) : Effect.die(new Error("header"))
  })),
  Layer.provide(RpcServer.layerProtocolWebsocket({ path: "/rpc" })),
  Layer.provide(layerSerialization)
)

const peer: Peer = {
  title: "Effect RPC over WebSocket, SchemaBinary serialization",

  serve: () => serve(Layer.provideMerge(HttpRouter.serve(layerRpc, quiet), layerHttpServer)),

  async connect(port) {
    const runtime = makeRuntime(
      RpcClient.layerProtocolSocket().pipe(
        Layer.provide(Socket.layerWebSocket(`ws://127.0.0.1:${port}/rpc`)),
        Layer.provide(NodeWS.layerWebSocketConstructor),
        Layer.provide(layerSerialization)
      )
    )
    const client = await runtime.runPromise(
      RpcClient.make(Items, { disableTracing: !tracing }).pipe(Scope.provide(Scope.makeUnsafe()))
    )
    return { small: operation(runtime, (id) => client.small({ id }, { headers: headers(id) })) }
  }
}

export default peer

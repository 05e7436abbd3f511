/**
 * The peers with Effect RPC over WebSocket.
 */
import * as NodeWS from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { answer, firstId, headers } from "./content.ts"
import {
  bodyStream,
  ItemSchema,
  itemStream,
  layerHttpServer,
  makeRuntime,
  operation,
  quiet,
  receiveAll,
  serve,
  tracing
} from "./effect.ts"
import type { Peer } from "./peer.ts"

const Items = RpcGroup.make(
  Rpc.make("small", { payload: { id: Schema.Number }, success: ItemSchema }),
  Rpc.make("down", {
    payload: { size: Schema.Number, chunk: Schema.Number },
    success: Schema.Uint8Array,
    stream: true
  }),
  Rpc.make("items", { payload: { count: Schema.Number }, success: ItemSchema, stream: true })
)

const layerItems = Items.toLayer({
  small: ({ id }, { headers }) => Effect.sync(() => answer(id, headers)),
  down: bodyStream,
  items: ({ count }) => itemStream(count)
})

export const makePeer = (title: string, layerSerialization: Layer.Layer<RpcSerialization.RpcSerialization>): Peer => ({
  title: `Effect RPC over WebSocket, ${title}`,

  serve: () =>
    serve(Layer.provideMerge(
      HttpRouter.serve(
        RpcServer.layer(Items, { disableTracing: !tracing }).pipe(
          Layer.provide([layerItems, RpcServer.layerProtocolWebsocket({ path: "/rpc" })]),
          Layer.provide(layerSerialization)
        ),
        quiet
      ),
      layerHttpServer
    )),

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
    const call = (id: number) => client.small({ id }, { headers: headers(id) })
    // Connects in the background; this waits for it
    await runtime.runPromise(call(firstId))
    const small = operation(runtime, call)
    return {
      connection: true,
      small,
      streams: small,
      down: (body, receive) => runtime.runPromise(receiveAll(client.down(body), receive)),
      items: (count, receive) => runtime.runPromise(receiveAll(client.items({ count }), receive))
    }
  }
})

/**
 * The client of the socket serves the API: a device behind a firewall dials out once, and the hub calls it from then on.
 *
 *     npx tsx examples/api-on-client.ts
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

// 1. What both ends share: the API that devices serve.

class LampApi extends HttpApi.make("LampApi").add(
  HttpApiGroup.make("lamp").add(
    HttpApiEndpoint.get("read", "/lamp", { success: Schema.Struct({ brightness: Schema.Int }) }),
    HttpApiEndpoint.put("dim", "/lamp", {
      payload: Schema.Struct({ brightness: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })) })
    })
  )
) {}

// 2. The device dials, and serves the API on the socket it dialled.

let brightness = 80

const LampLive = HttpApiBuilder.group(LampApi, "lamp", (handlers) =>
  handlers.handleAll({
    read: () => Effect.sync(() => ({ brightness })),
    dim: ({ payload }) =>
      Effect.sync(() => {
        brightness = payload.brightness
      })
  }))

const quiet = { disableLogger: true, disableListenLog: true }

const socketUrl = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Device = HttpRouter.serve(HttpApiBuilder.layer(LampApi).pipe(Layer.provide(LampLive)), quiet).pipe(
  Layer.provide(ApiServer.layer),
  Layer.provide(SwaggerSocketClient.layer({ url: socketUrl, metadata: { room: "kitchen" } })),
  Layer.provide([NodeSwaggerSocket.layerWebSocketConstructor, NodeHttpServer.layerHttpServices])
)

// 3. The hub accepts devices, and calls them with a client made from the same API.

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices", {
  metadata: Schema.Struct({ room: Schema.String })
}) {}

const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const devices = yield* Devices
  const device = yield* devices.awaitConnection(({ metadata }) => metadata.room === "kitchen")
  const { lamp } = yield* HttpApiClient.make(LampApi).pipe(Effect.provide(ApiClient.layerConnection(device)))

  yield* Console.log(`the lamp in the ${device.metadata.room} is at ${(yield* lamp.read()).brightness}%`)
  yield* lamp.dim({ payload: { brightness: 30 } })
  yield* Console.log(`the lamp in the ${device.metadata.room} is at ${(yield* lamp.read()).brightness}%`)
})

program.pipe(Effect.provide(Layer.provideMerge(Device, Hub)), NodeRuntime.runMain)

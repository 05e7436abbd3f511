/**
 * Handshake, heartbeat, multiplexer and reconnection are services: here all four are replaced, and the API on the connection
 * does not notice. Both ends need the same handshake and multiplexer.
 *
 *     npx tsx examples/own-parts.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as handshake from "./own-parts/handshake.ts"
import * as heartbeat from "./own-parts/heartbeat.ts"
import * as multiplexer from "./own-parts/multiplexer.ts"
import * as reconnection from "./own-parts/reconnection.ts"

const answered = Deferred.makeUnsafe<number>()

const Parts = Layer.mergeAll(
  handshake.layer,
  heartbeat.layer((millis) => Deferred.doneUnsafe(answered, Effect.succeed(millis))),
  multiplexer.layer,
  reconnection.layer
)

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

const Api = (name: string) =>
  HttpRouter.serve(
    Layer.merge(
      HttpRouter.add("GET", "/name", HttpServerResponse.text(name)),
      HttpRouter.add(
        "POST",
        "/echo",
        Effect.map(HttpServerRequest.HttpServerRequest, (request) => HttpServerResponse.stream(request.stream))
      )
    ),
    quiet
  )

const Hub = Api("the hub").pipe(
  Layer.provide(ApiServer.layerServer(Devices)),
  Layer.provideMerge(HttpRouter.serve(Devices.layer({ path: "/" }), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const Device = Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
  Api("a device").pipe(
    Layer.provide(ApiServer.layer),
    Layer.provideMerge(SwaggerSocketClient.layer({
      url: NetAddress.formatUrlUnsafe(address).replace("http", "ws"),
      metadata: { name: "lamp" }
    })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  )))

const call = Effect.fnUntraced(function*(caller: string, connection: Connection.Connection) {
  const api = ApiClient.make(connection)
  const name = yield* Effect.flatMap(api.get("/name"), (response) => response.text)
  yield* Console.log(`${caller} calls ${name}`)
  const body = new Uint8Array(1_000_000).map((_, index) => index)
  const echo = yield* api.execute(HttpClientRequest.bodyUint8Array(HttpClientRequest.post("/echo"), body))
  const isSame = Buffer.compare(new Uint8Array(yield* echo.arrayBuffer), body) === 0
  yield* Console.log(`${caller} gets ${isSame ? "the same" : "other"} ${body.length} bytes back`)
})

const program = Effect.gen(function*() {
  const client = yield* SwaggerSocketClient.SwaggerSocketClient
  const devices = yield* Devices

  const near = yield* client.connection
  const far = yield* devices.awaitConnection()
  yield* Console.log(`${JSON.stringify(far.metadata)} is connected`)
  yield* call("a device", near)
  yield* call("the hub", far)

  const millis = yield* Deferred.await(answered)
  yield* Console.log(`a ping was answered within ${Math.ceil(millis)} ms`)

  yield* far.close()
  yield* near.closed
  const again = yield* devices.awaitConnection()
  yield* Console.log(`${again.id === far.id ? "the same" : "another"} connection, after the first was closed`)
  yield* call("the hub", again)
})

NodeRuntime.runMain(program.pipe(Effect.provide(Device.pipe(Layer.provideMerge(Hub), Layer.provide(Parts)))))

/**
 * A device serves a WebSocket on the connection that it dialled, and its hub opens it. The network breaks ten times meanwhile, and
 * neither program notices: each message arrives once, in order, on the one WebSocket.
 *
 *     npx tsx examples/websocket-through-cuts.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as FaultProxy from "effect-swaggersocket/testing/FaultProxy"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schedule from "effect/Schedule"

const quiet = { disableLogger: true, disableListenLog: true }

// 1. The device: an echo, as any WebSocket route of Effect.

let opened = 0

const echo = HttpRouter.add(
  "GET",
  "/echo",
  Effect.gen(function*() {
    const socket = yield* (yield* HttpServerRequest.HttpServerRequest).upgrade
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    opened++
    yield* Effect.catchReason(
      Effect.forever(Effect.flatMap(pull, writer.writeAll)),
      "SocketError",
      "SocketCloseError",
      () => Effect.void
    )
    return HttpServerResponse.empty()
  })
)

const device = (url: string) =>
  HttpRouter.serve(echo, quiet).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provide(SwaggerSocketClient.layer({ url })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
    Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("20 millis") }))
  )

// 2. The hub, and a network between the two that breaks.

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const rounds = 10
const messages = 100

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const proxy = yield* FaultProxy.make({
    target: `${NetAddress.formatUrlUnsafe(address).replace("http", "ws")}/socket`
  })
  yield* Layer.build(device(proxy.url))
  const connection = yield* (yield* Devices).awaitConnection()

  const socket = yield* Effect.provide(ApiWebSocket.make("/echo"), ApiClient.layerConnection(connection))
  const writer = yield* socket.writer
  const { pull } = yield* socket.reader

  let received = 0
  for (let round = 1; round <= rounds; round++) {
    for (let n = 0; n < messages; n++) yield* writer.write(`message ${received + n}`)
    // Whatever is on its way is lost.
    yield* proxy.cut()
    const expected = round * messages
    while (received < expected) {
      for (const message of yield* pull) {
        if (message !== `message ${received++}`) return yield* Effect.die(`${message} is out of order`)
      }
    }
  }

  yield* Console.log(`the network broke ${proxy.struck.cut} times`)
  yield* Console.log(`${received} messages have come back, in order`)
  yield* Console.log(`the WebSocket was opened ${opened} time, on a connection that is ${yield* connection.status}`)
}).pipe(Effect.scoped, Effect.provide(Hub))

NodeRuntime.runMain(program)

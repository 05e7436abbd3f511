/**
 * A Hono app, or any other `Request => Response`, served on a socket: to its callers it is an ordinary HTTP API.
 *
 *     npx tsx examples/hono.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Hono } from "hono"
import { streamText } from "hono/streaming"

// 1. The app knows of neither Effect nor sockets.

const app = new Hono()
  .get("/hello/:name", (context) => context.json({ hello: context.req.param("name") }))
  .post("/length", async (context) => context.text(String((await context.req.arrayBuffer()).byteLength)))
  .get("/countdown", (context) =>
    streamText(context, async (stream) => {
      for (const count of ["3", "2", "1"]) {
        await stream.writeln(count)
        await stream.sleep(50)
      }
    }))

// 2. `ApiServer.fromWebHandler` makes it an Effect HTTP app; `HttpServer.serve` serves that on the socket.

const url = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Device = HttpServer.serve(ApiServer.fromWebHandler(app.fetch)).pipe(
  Layer.provide(ApiServer.layer),
  Layer.provide(SwaggerSocketClient.layer({ url })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" }), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const device = ApiClient.make(yield* (yield* Devices).awaitConnection())

  const hello = yield* device.get("/hello/hub")
  yield* Console.log(`${hello.status} ${hello.headers["content-type"]} ${yield* hello.text}`)

  const length = yield* device.post("/length", { body: HttpBody.uint8Array(new Uint8Array(100_000)) })
  yield* Console.log(`the app received ${yield* length.text} bytes`)

  const countdown = yield* device.get("/countdown")
  yield* countdown.stream.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.runForEach((line) => Console.log(`${line} …`))
  )

  const missing = yield* device.get("/missing")
  yield* Console.log(`${missing.status} ${yield* missing.text}`)
})

program.pipe(Effect.provide(Layer.provideMerge(Device, Hub)), NodeRuntime.runMain)

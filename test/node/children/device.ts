/**
 * The device of the quick start, which gets SIGTERM while it answers: `device.ts <url> <v1 | v2>`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { bytesOf } from "../../support/bodies.ts"

const [url, wire] = process.argv.slice(2)

const sized = (size: string) => Number(size)

/** The bytes of `bytesOf`, in memory. */
const body = (size: number) => Effect.map(Stream.runCollect(bytesOf(size, size)), (chunks) => Buffer.concat(chunks))

const stop = Effect.sync(() => process.kill(process.pid, "SIGTERM"))

/** Answers when it has been told to stop `after` that many requests, this one among them. */
let requests = 0
const stopAfter = (count: string) => Effect.suspend(() => ++requests === Number(count) ? stop : Effect.void)

const Routes = Layer.mergeAll(
  HttpRouter.add(
    "GET",
    "/whole/:size/:after",
    Effect.gen(function*() {
      const { after, size } = yield* HttpRouter.params
      const bytes = yield* body(sized(size!))
      yield* stopAfter(after!)
      return HttpServerResponse.uint8Array(bytes)
    })
  ),
  HttpRouter.add(
    "GET",
    "/stream/:size/:after",
    Effect.gen(function*() {
      const { after, size } = yield* HttpRouter.params
      yield* stopAfter(after!)
      return HttpServerResponse.stream(bytesOf(sized(size!), sized(size!)))
    })
  )
)

const Device = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide(ApiServer.layer),
  Layer.provide(SwaggerSocketClient.layer({ url: url!, wire: wire as "v1" | "v2" })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

NodeRuntime.runMain(Layer.launch(Device))

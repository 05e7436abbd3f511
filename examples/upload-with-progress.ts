/**
 * An upload of 16 MiB with its progress: the bytes taken from the stream, which is at most a window ahead of the reader.
 *
 *     npx tsx examples/upload-with-progress.ts
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
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const MiB = 1024 * 1024
const size = 16 * MiB

// The server takes 40 MiB a second and no more.

class Clients extends SwaggerSocketServer.Service<Clients>()("Clients") {}

const Upload = HttpRouter.add(
  "PUT",
  "/firmware",
  Effect.gen(function*() {
    const { stream } = yield* HttpServerRequest.HttpServerRequest
    const received = yield* stream.pipe(
      Stream.throttle({
        cost: (chunks) => chunks.reduce((sum, { length }) => sum + length, 0),
        units: 2 * MiB,
        duration: "50 millis"
      }),
      Stream.runFold(() => 0, (total, chunk) => total + chunk.length)
    )
    return HttpServerResponse.text(`${received} bytes received`)
  })
)

const quiet = { disableLogger: true, disableListenLog: true }

const Server = HttpRouter.serve(Upload, quiet).pipe(
  Layer.provide(ApiServer.layerServer(Clients)),
  Layer.provide(HttpRouter.serve(Clients.layer({ path: "/socket" }), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

const url = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Client = ApiClient.layer.pipe(
  Layer.provide(SwaggerSocketClient.layer({ url })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

/** A bar that is redrawn on a terminal; elsewhere a line for each quarter. */
const show = (before: number, after: number) => {
  const steps = process.stdout.isTTY ? 40 : 4
  const done = Math.floor((after / size) * steps)
  if (done === Math.floor((before / size) * steps)) return
  const percent = `${String((done / steps) * 100).padStart(5)} %`
  const bar = "#".repeat(done).padEnd(steps, ".")
  process.stdout.write(process.stdout.isTTY ? `\r${bar} ${percent}${done === steps ? "\n" : ""}` : `${percent}\n`)
}

const firmware = Stream.range(1, size / 65_536).pipe(
  Stream.rechunk(1),
  Stream.map(() => new Uint8Array(65_536)),
  Stream.mapAccum(() => 0, (sent, chunk) => {
    show(sent, sent + chunk.length)
    return [sent + chunk.length, [chunk]] as const
  })
)

const program = Effect.gen(function*() {
  const response = yield* HttpClient.put("/firmware", {
    body: HttpBody.stream(firmware, "application/octet-stream", size)
  })
  yield* Console.log(`${response.status}: ${yield* response.text}`)
})

program.pipe(Effect.provide(Layer.provide(Client, Server)), NodeRuntime.runMain)

/**
 * Devices that write each execution into a file before they answer: `enduranceDevices.ts <url> <count> <log>`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { openSync, writeSync } from "node:fs"
import { main, tell } from "../../load/child.ts"

const [url, count, log] = process.argv.slice(2)
const file = openSync(log!, "a")

const run = HttpRouter.add(
  "POST",
  "/run/:id",
  Effect.gen(function*() {
    const { id } = yield* HttpRouter.params
    const request = yield* HttpServerRequest.HttpServerRequest
    writeSync(file, `${id}\n`)
    return HttpServerResponse.text(`done ${yield* request.text}`)
  })
)

const device = (name: number) =>
  HttpRouter.serve(run, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provide(Layer.fresh(SwaggerSocketClient.layer({ url: url!, metadata: { name } })))
  )

main(
  Effect.gen(function*() {
    yield* Effect.forEach(Array.from({ length: Number(count) }, (_, name) => name), (name) => Layer.build(device(name)))
    yield* tell({ type: "started" })
  }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor))
)

/**
 * A server that writes each execution into a file before it does the work: `worker.ts <port> <log>`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { openSync, writeSync } from "node:fs"
import { sha256 } from "../../support/bodies.ts"
import { main, tell } from "../../support/child.ts"
import { Hub, layerHub, socketUrl } from "../../support/connections.ts"

const [port, log] = process.argv.slice(2)
const file = openSync(log!, "a")

const work = HttpRouter.add(
  "POST",
  "/jobs/:id",
  Effect.gen(function*() {
    const { id } = yield* HttpRouter.params
    writeSync(file, `${id}\n`)
    const request = yield* HttpServerRequest.HttpServerRequest
    const hash = yield* sha256(request.stream)
    // So that there is always something in the middle of its work.
    yield* Effect.sleep(5)
    return HttpServerResponse.text(hash)
  })
)

main(Effect.gen(function*() {
  const services = yield* Layer.build(
    HttpRouter.serve(work, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provideMerge(layerHub({ port: Number(port), limits: { maxConcurrentStreams: 12 } }))
    )
  )
  yield* tell({ type: "listening", url: yield* Effect.provide(socketUrl, services) })
}))

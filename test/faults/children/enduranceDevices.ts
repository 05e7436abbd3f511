/**
 * Devices that write each execution into a file before they answer: `enduranceDevices.ts <url> <count> <log>`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { openSync, writeSync } from "node:fs"
import { hear, main, type Message, tell } from "../../support/child.ts"

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
    Layer.provideMerge(Layer.fresh(SwaggerSocketClient.layer({ url: url!, metadata: { name } })))
  )

export interface Others extends Message {
  readonly type: "others"
  /** The devices that are not connected, and why. */
  readonly others: ReadonlyArray<string>
}

main(
  Effect.gen(function*() {
    const clients = yield* Effect.forEach(
      Array.from({ length: Number(count) }, (_, name) => name),
      (name) => Effect.map(Layer.build(device(name)), Context.get(SwaggerSocketClient.SwaggerSocketClient))
    )
    yield* tell({ type: "started" })
    while (true) {
      yield* hear("how")
      const statuses = yield* Effect.forEach(clients, ({ status }) => status)
      const others = statuses.flatMap((status, name) =>
        status._tag === "Connected"
          ? []
          : [`${name}: ${status._tag} ${"attempt" in status ? status.attempt : ""} ${status.error?.message ?? ""}`]
      )
      yield* tell<Others>({ type: "others", others })
    }
  }).pipe(Effect.provide(NodeSwaggerSocket.layerWebSocketConstructor))
)

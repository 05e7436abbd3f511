/**
 * A hub whose handlers take their time: `busyHub.ts <quotas as JSON>`.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import type * as Quotas from "effect-swaggersocket/Quotas"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { main, type Message, tell } from "../../support/child.ts"

export interface Listening extends Message {
  readonly type: "listening"
  readonly url: string
}

class Hub extends SwaggerSocketServer.Service<Hub>()("Hub") {}

const quiet = { disableLogger: true, disableListenLog: true }
const quotas = JSON.parse(process.argv[2] ?? "{}") as Quotas.Options

/** Keeps the processor busy for so many milliseconds. */
const burn = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

const ok = HttpServerResponse.text("ok")

const api = Layer.mergeAll(
  HttpRouter.add("GET", "/small", ok),
  HttpRouter.add("GET", "/burn", Effect.as(burn(0.5), ok)),
  // Asks another service between two pieces of work.
  HttpRouter.add("GET", "/ask", Effect.as(Effect.andThen(Effect.delay(burn(0.25), 20), burn(0.25)), ok))
)

main(Effect.gen(function*() {
  const context = yield* Layer.build(
    HttpRouter.serve(api, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provideMerge(HttpRouter.serve(Hub.layer({ path: "/socket", quotas }), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  yield* tell<Listening>({ type: "listening", url: `${NetAddress.formatUrlUnsafe(address)}/socket` })
}))

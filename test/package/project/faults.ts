/**
 * A call whose link is cut goes on with the next link.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import { FaultProxy } from "effect-swaggersocket/testing"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"

class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

const program = Effect.gen(function*() {
  const asked = yield* Deferred.make<void>()
  const cut = yield* Deferred.make<void>()
  const answer = Effect.as(
    Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(cut)),
    HttpServerResponse.text("the answer")
  )
  const hub = yield* Layer.build(
    HttpRouter.serve(HttpRouter.add("GET", "/question", answer), quiet).pipe(
      Layer.provide(ApiServer.layerServer(Devices)),
      Layer.provideMerge(HttpRouter.serve(Devices.layer({ path: "/socket" }), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const url = NetAddress.formatUrlUnsafe(Context.get(hub, HttpServer.HttpServer).address).replace("http", "ws")
  const proxy = yield* FaultProxy.make({ target: `${url}/socket` })
  const device = yield* Layer.build(ApiClient.layer.pipe(
    Layer.provide(SwaggerSocketClient.layer({ url: proxy.url })),
    Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
  ))
  const call = yield* Effect.forkChild(Context.get(device, HttpClient.HttpClient).get("/question"))
  yield* Deferred.await(asked)
  yield* proxy.cut()
  yield* Deferred.succeed(cut, undefined)
  const response = yield* Fiber.join(call)
  yield* Console.log(`${yield* response.text}, after ${proxy.broken} broken link and ${proxy.attempts.length} attempts`)
})

await Effect.runPromise(Effect.scoped(program))

/**
 * Runs in a browser's worker: serves its page over the ports that it is sent, and calls it.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

class Worker extends SwaggerSocketServer.Service<Worker>()("test/browser/Worker") {}

const Routes = Layer.mergeAll(
  HttpRouter.add(
    "POST",
    "/echo",
    (request) => Effect.succeed(HttpServerResponse.stream(request.stream))
  ),
  HttpRouter.add(
    "POST",
    "/back",
    Effect.gen(function*() {
      const page = ApiClient.make(yield* Connection.current)
      const answer = yield* page.post("/text", { body: HttpBody.text("é of the worker") })
      return HttpServerResponse.text(yield* answer.text)
    })
  )
)

const program = Effect.gen(function*() {
  const worker = yield* Worker
  yield* Effect.callback<never>(() => {
    addEventListener("message", ({ data }: MessageEvent<MessagePort>) => {
      Effect.runFork(worker.accept(Link.fromMessagePort(data)))
    })
    postMessage("listening")
  })
})

Effect.runFork(Effect.provide(
  program,
  HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(ApiServer.layerServer(Worker)),
    Layer.provideMerge(Worker.layerNoRoute({})),
    Layer.provide(HttpServer.layerServices)
  )
))

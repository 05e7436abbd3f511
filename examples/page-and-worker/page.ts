/**
 * The page: a client whose link is one end of a channel; the worker gets the other end. It calls the worker, and serves what the
 * worker calls.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Link from "effect-swaggersocket/Link"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const worker = new Worker("/worker.js", { type: "module" })

const show = (text: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    document.body.append(text, document.createElement("br"))
    // Whoever has started the example sees it as well.
    await fetch("/shown", { method: "POST", body: text })
  })

const Page = HttpRouter.serve(
  HttpRouter.add("PUT", "/progress", (request) =>
    Effect.gen(function*() {
      document.querySelector("progress")!.value = Number(yield* request.text)
      return HttpServerResponse.empty()
    }))
).pipe(
  Layer.provide(ApiServer.layer),
  Layer.merge(ApiClient.layer),
  Layer.provide(SwaggerSocketClient.layer({
    link: Effect.suspend(() => {
      const { port1, port2 } = new MessageChannel()
      worker.postMessage(port2, [port2])
      return Link.fromMessagePort(port1)
    })
  }))
)

const program = Effect.gen(function*() {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.get("/primes/1000000")
  yield* show(`the largest prime number up to 1,000,000 is ${yield* response.text}`)
  yield* show(`the worker has told of ${document.querySelector("progress")!.value * 100} % of the way`)
})

Effect.runFork(Effect.provide(program, Page))

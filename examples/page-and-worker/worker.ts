/**
 * The worker: a server that accepts the ports that it is sent. It does what would make the page stand still, and tells the page
 * how far it is.
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
import * as Queue from "effect/Queue"

class Pages extends SwaggerSocketServer.Service<Pages>()("Pages") {}

const isPrime = (n: number): boolean => {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return n > 1
}

/** The largest prime number up to a limit. The page is told of each tenth of the way. */
const largestPrime = Effect.fnUntraced(function*(limit: number) {
  const page = ApiClient.make(yield* Connection.current)
  let largest = 0
  for (let n = 1; n <= limit; n++) {
    if (isPrime(n)) largest = n
    if (n % (limit / 10) === 0) yield* page.put("/progress", { body: HttpBody.text(String(n / limit)) })
  }
  return largest
})

const Api = HttpRouter.serve(HttpRouter.add(
  "GET",
  "/primes/:limit",
  Effect.gen(function*() {
    const { limit } = yield* HttpRouter.params
    return HttpServerResponse.text(String(yield* largestPrime(Number(limit))))
  })
)).pipe(
  Layer.provide(ApiServer.layerServer(Pages)),
  Layer.provideMerge(Pages.layerNoRoute({})),
  Layer.provide(HttpServer.layerServices)
)

// A worker has to listen as soon as its script runs: ports that come before are lost.
const ports = Effect.runSync(Queue.unbounded<MessagePort>())
addEventListener("message", ({ data }: MessageEvent<MessagePort>) => Queue.offerUnsafe(ports, data))

const accepting = Effect.gen(function*() {
  const pages = yield* Pages
  while (true) {
    const port = yield* Queue.take(ports)
    yield* Effect.forkChild(pages.accept(Link.fromMessagePort(port)))
  }
})

Effect.runFork(Effect.provide(accepting, Api))

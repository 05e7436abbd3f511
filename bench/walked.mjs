// What walk.mjs runs in the instrumented package: the call, and the count.
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"

class Hub extends SwaggerSocketServer.Service()("Hub") {}

const quiet = { disableLogger: true, disableListenLog: true }
const body = new TextEncoder().encode("hello")

const echo = HttpRouter.add(
  "POST",
  "/echo",
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    return HttpServerResponse.uint8Array(new Uint8Array(yield* request.arrayBuffer))
  })
)

const layerOf = (file) => file.split("/").slice(0, 2).join("/").replace(/\.js$/, "")

const program = Effect.gen(function*() {
  const hub = yield* Layer.build(
    HttpRouter.serve(echo, quiet).pipe(
      Layer.provide(ApiServer.layerServer(Hub)),
      Layer.provideMerge(HttpRouter.serve(Hub.layer({ path: "/socket" }), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const url = `${NetAddress.formatUrlUnsafe(Context.get(hub, HttpServer.HttpServer).address)}/socket`.replace(
    "http",
    "ws"
  )
  const client = yield* Layer.build(
    ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({ url })),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )
  )
  const http = Context.get(client, HttpClient.HttpClient)
  const call = Effect.gen(function*() {
    const response = yield* http.post("/echo", { body: HttpBody.uint8Array(body) })
    return yield* response.text
  })
  for (let times = 0; times < 20; times++) yield* call
  const entries = []
  const names = []
  globalThis.__walk = (file, name) => {
    entries.push(file)
    names.push(name)
  }
  const text = yield* call
  globalThis.__walk = undefined
  if (text !== "hello") throw new Error(`answered ${text}`)
  const moves = entries.flatMap((file, at) => at === 0 || file === entries[at - 1] ? [] : [[entries[at - 1], file]])
  const between = moves.filter(([from, to]) => layerOf(from) !== layerOf(to))
  console.log(
    `${entries.length} entries of functions, ${moves.length} moves between ${
      new Set(entries).size
    } files, ${between.length} between layers`
  )
  if (process.argv.includes("--trace")) {
    const stays = []
    entries.forEach((file, at) => {
      if (file === entries[at - 1]) stays.at(-1).push(names[at])
      else stays.push([names[at]])
    })
    const files = entries.filter((file, at) => file !== entries[at - 1])
    stays.forEach((stay, at) => console.log(`${files[at].replace("internal/", "")}: ${stay.join(", ")}`))
  }
  if (!process.argv.includes("--moves")) return
  const counts = new Map()
  for (const [from, to] of moves) {
    const pair = [from, to].sort().join(" <-> ")
    counts.set(pair, (counts.get(pair) ?? 0) + 1)
  }
  for (const [pair, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`${count}\t${pair}`)
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)

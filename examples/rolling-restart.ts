/**
 * A server is replaced while it works: SIGTERM drains it. The call in progress finishes, later ones go to the replacement,
 * and the caller does nothing for it.
 *
 *     npx tsx examples/rolling-restart.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { type ChildProcess, fork } from "node:child_process"

/** The name of the server that this process is; none in the process that starts them. */
const name = process.argv[2]

const quiet = { disableLogger: true, disableListenLog: true }

// 1. The server. All it does for a drain is to end with `runMain`, which closes the layers' scopes on SIGTERM.

class Kitchens extends SwaggerSocketServer.Service<Kitchens>()("Kitchens") {}

const tell = (message: string) => Effect.sync(() => process.send!(message))

const Menu = Layer.merge(
  HttpRouter.add("GET", "/coffee", HttpServerResponse.text(`coffee by ${name}`)),
  HttpRouter.add(
    "POST",
    "/bread",
    tell("baking").pipe(
      Effect.andThen(Effect.sleep("2 seconds")),
      Effect.as(HttpServerResponse.text(`bread by ${name}`))
    )
  )
)

const Kitchen = HttpRouter.serve(Menu, quiet).pipe(
  Layer.provide(ApiServer.layerServer(Kitchens)),
  Layer.provide(HttpRouter.serve(Kitchens.layer({ path: "/socket" }), quiet))
)

const Open = Layer.effectDiscard(HttpServer.addressFormattedWith(tell)).pipe(
  Layer.provide(Kitchen),
  Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

// 2. What a platform does that replaces one process by another. The address stands for a load balancer, or for DNS.

const hear = (kitchen: ChildProcess) =>
  Effect.callback<string>((resume) => {
    kitchen.once("message", (message) => resume(Effect.succeed(String(message))))
  })

const terminate = (kitchen: ChildProcess) =>
  Effect.callback<void>((resume) => {
    kitchen.once("exit", () => resume(Effect.void))
    if (!kitchen.kill("SIGTERM")) resume(Effect.void)
  })

let address = ""

const start = Effect.fnUntraced(function*(name: string) {
  const kitchen = yield* Effect.acquireRelease(Effect.sync(() => fork(import.meta.filename, [name])), terminate)
  address = yield* hear(kitchen)
  return kitchen
})

// 3. The client knows the address, and nothing of processes that come and go.

const Client = ApiClient.layer.pipe(
  Layer.provideMerge(SwaggerSocketClient.layer({ url: Effect.sync(() => `${address.replace("http", "ws")}/socket`) })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const get = (path: string) => Effect.flatMap(HttpClient.get(path), ({ text }) => text)

const program = Effect.fnUntraced(function*(first: ChildProcess) {
  const client = yield* SwaggerSocketClient.SwaggerSocketClient
  const before = yield* client.connection
  yield* Console.log(yield* get("/coffee"))

  yield* start("the second kitchen")
  const bread = yield* Effect.forkChild(Effect.flatMap(HttpClient.post("/bread"), ({ text }) => text))
  yield* hear(first)
  yield* Console.log("the first kitchen is baking")

  const gone = yield* Effect.forkChild(terminate(first))
  // Only to print in order: calls may be made at any time.
  yield* before.changes.pipe(Stream.takeUntil((status) => status === "draining"), Stream.runDrain)
  yield* Console.log("SIGTERM: the first kitchen takes no more orders")
  yield* Console.log(`${yield* get("/coffee")}, while the bread is in the oven`)
  yield* Console.log(yield* Fiber.join(bread))
  yield* Fiber.join(gone)
  yield* Console.log("the first kitchen is closed")
})

const main = Effect.scoped(
  Effect.flatMap(start("the first kitchen"), (first) => Effect.provide(program(first), Client))
)

if (name === undefined) NodeRuntime.runMain(main)
else NodeRuntime.runMain(Layer.launch(Open))

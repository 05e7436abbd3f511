/**
 * Both ends serve an API and call the other's, on one connection: while a handler runs, it calls back.
 *
 *     npx tsx examples/both-at-once.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const quiet = { disableLogger: true, disableListenLog: true }

// The server's API. To answer, it asks the client that is calling.

class Players extends SwaggerSocketServer.Service<Players>()("Players") {}

const Welcome = HttpRouter.add(
  "GET",
  "/welcome",
  Effect.gen(function*() {
    const caller = yield* Connection.current
    const response = yield* ApiClient.make(caller).get("/name")
    return HttpServerResponse.text(`Welcome, ${yield* response.text}!`)
  })
)

const Server = HttpRouter.serve(Welcome, quiet).pipe(
  Layer.provide(ApiServer.layerServer(Players)),
  Layer.provideMerge(HttpRouter.serve(Players.layer({ path: "/socket" }), quiet)),
  Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
)

// The client's API, and its calls of the server's: two layers on one `SwaggerSocketClient`.

const socketUrl = HttpServer.addressFormattedWith((http) => Effect.succeed(`${http.replace("http", "ws")}/socket`))

const Name = HttpRouter.add("GET", "/name", HttpServerResponse.text("Ada"))

const Client = Layer.merge(HttpRouter.serve(Name, quiet).pipe(Layer.provide(ApiServer.layer)), ApiClient.layer).pipe(
  Layer.provide(SwaggerSocketClient.layer({ url: socketUrl })),
  Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
)

const welcome = Effect.flatMap(HttpClient.get("/welcome"), (response) => response.text)

const program = Effect.gen(function*() {
  yield* Console.log(`the server says: ${yield* welcome}`)

  const [duration] = yield* Effect.timed(Effect.replicateEffect(welcome, 500, { concurrency: "unbounded" }))
  const players = yield* Players
  const player = yield* players.awaitConnection()
  const { streamsAccepted, streamsOpened } = yield* player.statistics
  yield* Console.log(`500 more at once took ${Math.round(Duration.toMillis(duration))} ms`)
  yield* Console.log(`on one socket: ${streamsAccepted} calls of the client, ${streamsOpened} of the server`)
})

program.pipe(Effect.provide(Layer.provideMerge(Client, Server)), NodeRuntime.runMain)

/**
 * A conversation with the chatter service: with a WebSocket for each streaming call, and on one connection for all calls.
 * `chatter/main.ts` serves it to others, and `chatter/cli.ts` talks with it in a terminal.
 *
 *     npx tsx examples/chatter.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import type * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import { Chatter } from "./chatter/api.ts"
import { layer } from "./chatter/server.ts"
import { layerMemory } from "./chatter/store.ts"

const overWebSockets = HttpServer.addressFormattedWith((baseUrl) => StreamingClient.makeWebSocket(Chatter, { baseUrl }))

const onConnection = StreamingClient.make(Chatter)

/** A client whose requests have a token; whichever binding it is of, it has the same type. */
const login = <R>(make: Effect.Effect<Effect.Success<typeof onConnection>, never, R>) => {
  const sending = (change: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest) =>
    Effect.updateService(make, HttpClient.HttpClient, HttpClient.mapRequest(change))
  return Effect.gen(function*() {
    const stranger = yield* sending(HttpClientRequest.basicAuth("goa", "rocks"))
    const token = yield* stranger.chatter.login()
    return (yield* sending(HttpClientRequest.bearerToken(token))).chatter
  })
}

const program = Effect.gen(function*() {
  const ada = yield* Effect.provide(login(overWebSockets), FetchHttpClient.layer)
  const bob = yield* login(onConnection)

  // What is sent from here on, Bob is told of.
  const events = yield* bob.subscribe()
  const told = yield* events.pipe(
    Stream.take(4),
    Stream.runForEach(({ action, message }) => Console.log(`bob is told    ${action}: ${message}`)),
    Effect.forkChild
  )

  // A line is written when the echo of the one before is there.
  const lines = yield* Queue.unbounded<string, Cause.Done>()
  const write = (line: string) => Effect.andThen(Console.log(`ada writes     ${line}`), Queue.offer(lines, line))
  yield* write("hello")
  const echoes = yield* ada.echoer({ payload: Stream.fromQueue(lines) })
  yield* echoes.pipe(
    Stream.tap((echo) => Console.log(`ada hears      ${echo}`)),
    Stream.runForEach((echo) => echo === "hello" ? write("is anybody there?") : Queue.end(lines))
  )

  const summary = yield* bob.summary({ payload: Stream.make("bob is", "goodbye") })
  yield* Fiber.join(told)
  yield* Console.log(
    `bob has sent   ${summary.map(({ length, message }) => `${message} (${length} bytes)`).join(", ")}`
  )

  const history = yield* ada.history({ query: { view: "tiny" } })
  yield* Stream.runForEach(history, (message) => Console.log(`the history    ${JSON.stringify(message)}`))
})

const Service = layer({ port: 0, host: "127.0.0.1" }).pipe(Layer.provide(layerMemory))

const Connection = ApiClient.layer.pipe(
  Layer.provide(SwaggerSocketClient.layer({
    url: HttpServer.addressFormattedWith((url) => Effect.succeed(`${url.replace("http", "ws")}/socket`))
  }))
)

program.pipe(
  Effect.provide(
    Connection.pipe(Layer.provideMerge(Layer.merge(Service, NodeSwaggerSocket.layerWebSocketConstructor)))
  ),
  Effect.provideService(References.MinimumLogLevel, "Error"),
  NodeRuntime.runMain
)

import * as HttpClient from "effect/http/HttpClient"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"

const Reading = Schema.Struct({ celsius: Schema.Number, at: Schema.String })
class Nope extends Schema.TaggedError<Nope>()("Nope", { n: Schema.Number }, { httpApiStatus: 404 }) {}

class Weather extends HttpApi.make("Weather").add(
  HttpApiGroup.make("sensors").add(
    StreamingEndpoint.get("watch", "/watch", {
      streamingResult: Reading,
      views: { tiny: Schema.Struct({ celsius: Schema.Number }) },
      error: Nope
    }),
    StreamingEndpoint.get("record", "/record/:id", { params: { id: Schema.NumberFromString }, streamingPayload: Reading, error: Nope }),
    StreamingEndpoint.get("average", "/average", { streamingPayload: Reading, result: Schema.Number, error: [Nope] }),
    StreamingEndpoint.get("convert", "/convert", { streamingPayload: Reading, streamingResult: Schema.Number, error: [Nope] })
  )
) {}

const live = HttpApiBuilder.group(Weather, "sensors", (handlers) =>
  handlers.handle("watch", ({ query }) => Effect.succeed(Stream.concat(Stream.make({ celsius: query.view === "tiny" ? 1 : 2, at: "x" }), Stream.fail(new Nope({ n: 3 })))))
    .handle("record", ({ payload, params }) => params.id === 9 ? Effect.fail(new Nope({ n: 9 })) : Stream.runForEach(payload, (r) => Effect.log(r.at, params.id)))
    .handle("average", ({ payload }) => Effect.filterOrFail(Stream.runFold(payload, () => 0, (sum, r) => sum + r.celsius), (s) => s !== 13, () => new Nope({ n: 13 })))
    .handle("convert", ({ payload }) => Effect.succeed(Stream.map(payload, (r) => r.celsius)))).pipe(
      Layer.provide(StreamingServer.layer(Weather, "sensors", { endpoints: { watch: { pingInterval: "3 seconds" } } })))

const App = HttpRouter.serve(HttpApiBuilder.layer(Weather).pipe(Layer.provide(live)), { disableListenLog: true })

const use = (client: StreamingClient.Client<HttpApi.HttpApi<any, any> extends never ? never : (typeof Weather extends HttpApi.HttpApi<any, infer G> ? G : never)>) => Effect.gen(function*() {
  const readings = Stream.make({ celsius: 1, at: "a" }, { celsius: 2, at: "b" })
  console.log("convert", yield* Effect.flatMap(client.sensors.convert({ payload: readings }), Stream.runCollect))
  console.log("average", yield* client.sensors.average({ payload: readings }))
  console.log("record", yield* client.sensors.record({ params: { id: 7 }, payload: readings }))
  console.log("record", yield* Effect.flip(client.sensors.record({ params: { id: 9 }, payload: readings })))
  console.log("average", yield* Effect.flip(client.sensors.average({ payload: Stream.make({ celsius: 13, at: "" }) })))
  const tiny = yield* client.sensors.watch({ query: { view: "tiny" } })
  yield* Stream.runForEach(tiny, (x) => Effect.sync(() => console.log("tiny", x))).pipe(Effect.flip, Effect.tap((e) => Effect.sync(() => console.log(e))))
  const whole = yield* client.sensors.watch({ query: {} })
  yield* Stream.runForEach(whole, (x) => Effect.sync(() => console.log("whole", x, x.at))).pipe(Effect.flip, Effect.tap((e) => Effect.sync(() => console.log(e))))
  console.log("bogus", yield* Effect.flip(client.sensors.watch({ query: { view: "bogus" as "tiny" } })))
  const t = Date.now()
  for (const n of [1000, 100_000]) {
    const t = Date.now()
    const s = yield* client.sensors.convert({ payload: Stream.map(Stream.range(1, n), (celsius) => ({ celsius, at: "x" })) })
    console.log(n, yield* Stream.runFold(s, () => 0, (a, b) => a + b), Date.now() - t)
  }
})

await Effect.gen(function*() {
  const server = yield* HttpServer.HttpServer
  const baseUrl = HttpServer.formatAddress(server.address).replace("0.0.0.0", "127.0.0.1")
  console.log(baseUrl)
  yield* use(yield* StreamingClient.makeWebSocket(Weather, { baseUrl }) as any)
}).pipe(
  Effect.provide(Layer.mergeAll(App.pipe(Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))), FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor)),
  Effect.scoped, Effect.runPromise)

await Effect.gen(function*() {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  yield* Layer.build(Layer.provide(App, ApiServer.layerConnection(server)))
  yield* Effect.provideService(StreamingClient.make(Weather), HttpClient.HttpClient, ApiClient.make(client)).pipe(Effect.flatMap(c => use(c as any)))
}).pipe(Effect.scoped, (x) => Effect.runPromise(x as any))

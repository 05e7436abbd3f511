/**
 * Endpoints that can't be, and what views do to values.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as StreamingEndpoint from "effect-swaggersocket/StreamingEndpoint"
import * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { bindings } from "./bindings.ts"
import { Reading, readings, serve, Weather } from "./weather.ts"

const { get, make } = StreamingEndpoint

class Uploads extends HttpApi.make("Uploads").add(
  HttpApiGroup.make("uploads").add(
    make("POST")("sum", "/sum", { streamingPayload: Schema.NullOr(Schema.Number), result: Schema.Number }),
    make("PUT")("echo", "/echo", { streamingPayload: Schema.String, streamingResult: Schema.String })
  )
) {}

describe("declarations", () => {
  it("an endpoint that streams neither way is refused", () => {
    assert.throws(() => get("a", "/a", {}), /GET \/a streams neither way/)
    assert.throws(() => get("a", "/a", { result: Schema.String }), /streams neither way/)
  })

  it("an endpoint with one result and many results is refused", () => {
    assert.throws(() => get("a", "/a", { result: Schema.String, streamingResult: Schema.String }), /has both/)
  })

  it("views without a result, and a view named default, are refused", () => {
    assert.throws(() => get("a", "/a", { streamingPayload: Schema.String, views: {} }), /views of no result/)
    assert.throws(
      () => get("a", "/a", { streamingResult: Reading, views: { default: Reading } }),
      /"default" is the result/
    )
  })

  it("a GET endpoint whose message may be null is refused, because null ends the input", () => {
    for (
      const schema of [Schema.NullOr(Schema.String), Schema.Null, Schema.Unknown, Schema.UndefinedOr(Schema.String)]
    ) {
      assert.throws(() => get("a", "/a", { streamingPayload: schema }), /a message may be null/)
      assert.doesNotThrow(() => make("POST")("a", "/a", { streamingPayload: schema }))
    }
    assert.doesNotThrow(() => get("a", "/a", { streamingResult: Schema.NullOr(Schema.String) }))
  })

  it("a WebSocket of either end needs an endpoint of GET", () => {
    const [api, group] = [Uploads, "uploads"] as unknown as [typeof Weather, "sensors"]
    assert.throws(() => StreamingServer.layer(api, group), /uploads\.sum streams on POST \/sum: a WebSocket needs GET/)
    assert.throws(() => StreamingClient.makeWebSocket(api, { baseUrl: "http://localhost" }), /a WebSocket needs GET/)
  })

  it("OpenAPI shows the method that was declared", () => {
    const { paths } = OpenApi.fromApi(Weather)
    assert.deepStrictEqual(Object.keys(paths["/convert"]!), ["get"])
    assert.deepStrictEqual(Object.keys(OpenApi.fromApi(Uploads).paths["/sum"]!), ["post"])
  })

  it("OpenAPI shows the messages of a GET, which otherwise has no body", () => {
    const { paths } = OpenApi.fromApi(Weather)
    const content = (path: string) => Object.entries(paths[path]!.get?.requestBody?.content ?? {})
    const [[type, { schema }]] = content("/convert") as [[string, { readonly schema: { readonly required: unknown } }]]
    assert.strictEqual(type, "application/x-ndjson")
    assert.deepStrictEqual(schema.required, ["celsius", "at"])
    assert.deepStrictEqual(content("/watch"), [])
  })

  it.effect("endpoints of other methods work over connections, and may have null as a message", () =>
    Effect.gen(function*() {
      const Live = HttpApiBuilder.group(Uploads, "uploads", (handlers) =>
        handlers
          .handle("sum", ({ payload }) => Stream.runFold(payload, () => 0, (sum, next) => sum + (next ?? 100)))
          .handle("echo", ({ payload }) => Effect.succeed(payload))).pipe(
          Layer.provide(StreamingServer.layerMultiplexed)
        )
      const ends = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(
        HttpRouter.serve(HttpApiBuilder.layer(Uploads).pipe(Layer.provide(Live)), {
          disableLogger: true
        }).pipe(Layer.provide([ApiServer.layerConnection(ends.server), HttpServer.layerServices]))
      )
      const { uploads } = yield* Effect.provideService(
        StreamingClient.make(Uploads),
        HttpClient.HttpClient,
        ApiClient.make(ends.client)
      )
      assert.strictEqual(yield* uploads.sum({ payload: Stream.make(1, null, 2) }), 103)
      const echoes = yield* uploads.echo({ payload: Stream.make("a", "b") })
      assert.deepStrictEqual(yield* Stream.runCollect(echoes), ["a", "b"])
    }))
})

// The same endpoints, with a view that the server has not.
class Newer extends HttpApi.make("Weather").add(
  HttpApiGroup.make("sensors").add(
    StreamingEndpoint.get("watch", "/watch", {
      streamingResult: Reading,
      views: { huge: Schema.Struct({ celsius: Schema.Number }) }
    })
  )
) {}

for (const { name, start } of bindings) {
  describe(`views over ${name}`, () => {
    it.live("a view's messages arrive without the fields that it leaves out", () =>
      Effect.gen(function*() {
        const views: Array<string> = []
        const { sensors } = yield* start(serve({
          watch: (view) => {
            views.push(view)
            return Effect.succeed(Stream.fromIterable(readings(1, 2)))
          }
        }))
        const tiny = yield* Stream.runCollect(yield* sensors.watch({ query: { view: "tiny" } }))
        assert.deepStrictEqual<ReadonlyArray<unknown>>(tiny, [{ celsius: 1 }, { celsius: 2 }])
        const whole = yield* Stream.runCollect(yield* sensors.watch({ query: { view: "default" } }))
        assert.deepStrictEqual(whole, readings(1, 2))
        assert.deepStrictEqual(views, ["tiny", "default"])
      }))

    it.live("a single result is projected to its view", () =>
      Effect.gen(function*() {
        const { sensors } = yield* start(serve())
        const payload = Stream.make(...readings(1, 9, 3))
        assert.deepStrictEqual<unknown>(yield* sensors.warmest({ query: { view: "tiny" }, payload }), { celsius: 9 })
        assert.deepStrictEqual(yield* sensors.warmest({ query: {}, payload }), { celsius: 9, at: "t1" })
      }))

    it.live("calls with different views at once each get their own", () =>
      Effect.gen(function*() {
        const { sensors } = yield* start(serve())
        yield* Effect.forEach(Array.from({ length: 20 }, (_, index) => index), (index) =>
          Effect.gen(function*() {
            const view = index % 2 === 0 ? "tiny" : "default"
            const [first] = yield* Effect.flatMap(sensors.watch({ query: { view } }), Stream.runCollect)
            assert.deepStrictEqual<unknown>(first, view === "tiny" ? { celsius: 1 } : { celsius: 1, at: "t0" })
          }), { concurrency: "unbounded" })
      }))
  })
}

describe("unknown views", () => {
  it.effect("a client that asks for a view unknown to the server gets a typed error", () =>
    Effect.gen(function*() {
      const ends = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(
        Layer.provide(serve(), [ApiServer.layerConnection(ends.server), HttpServer.layerServices])
      )
      const { sensors } = yield* Effect.provideService(
        StreamingClient.make(Newer),
        HttpClient.HttpClient,
        ApiClient.make(ends.client)
      )
      const error = yield* Effect.flip(sensors.watch({ query: { view: "huge" } }))
      assert.instanceOf(error, StreamingEndpoint.UnknownView)
      assert.strictEqual(error.message, `there is no view "huge", only default, tiny`)
    }))
})

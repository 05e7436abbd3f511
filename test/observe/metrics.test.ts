/**
 * Metrics of connections, refusals and reconnects.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const routes = HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")), {
  disableLogger: true,
  disableListenLog: true
})

/** A registry of its own, so that tests do not see each other's counts. */
const ownRegistry = Effect.provideService(Metric.MetricRegistry, new Map())

const numberOf = (text: string, name: string): number => {
  const line = text.split("\n").find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  assert.isDefined(line, `${name} is missing in\n${text}`)
  return Number(line!.slice(line!.lastIndexOf(" ")))
}

describe("metrics", () => {
  it.effect("metrics of connections, streams, bytes, frames and resets are in the output of PrometheusMetrics", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        yield* Layer.build(routes.pipe(Layer.provide(ApiServer.layerConnection(server))))
        for (let i = 0; i < 5; i++) yield* ApiClient.make(client).get("/ping")
        const text = yield* PrometheusMetrics.format()
        assert.strictEqual(numberOf(text, "swaggersocket_connections"), 2)
        assert.strictEqual(numberOf(text, "swaggersocket_connections_opened"), 2)
        assert.strictEqual(numberOf(text, "swaggersocket_streams_opened"), 5)
        assert.strictEqual(numberOf(text, "swaggersocket_streams_accepted"), 5)
        assert.isAbove(numberOf(text, "swaggersocket_bytes_sent"), 100)
        assert.strictEqual(
          numberOf(text, "swaggersocket_bytes_sent"),
          numberOf(text, "swaggersocket_bytes_received")
        )
        assert.isAtLeast(numberOf(text, "swaggersocket_frames_sent"), 15)
        yield* TestClock.adjust("25 seconds")
        assert.include(yield* PrometheusMetrics.format(), "swaggersocket_round_trip_millis")
      }))
      // What a closed connection counted is not forgotten.
      const text = yield* PrometheusMetrics.format()
      assert.strictEqual(numberOf(text, "swaggersocket_connections"), 0)
      assert.strictEqual(numberOf(text, "swaggersocket_streams_opened"), 5)
    }).pipe(ownRegistry))

  it.live("metrics count lost links and resumed connections, and count a resumed connection once", () =>
    Effect.gen(function*() {
      const { client, cut, server } = yield* SwaggerSocketTest.makePair()
      for (let i = 0; i < 3; i++) {
        yield* cut
        for (const { changes } of [client, server]) {
          yield* Stream.runDrain(Stream.takeUntil(changes, (status) => status === "open"))
        }
      }
      // What was woken by the status may be ahead of the count.
      yield* Effect.yieldNow
      const text = yield* PrometheusMetrics.format()
      // Each end counts.
      assert.strictEqual(numberOf(text, "swaggersocket_interruptions"), 6)
      assert.strictEqual(numberOf(text, "swaggersocket_resumptions"), 6)
      assert.strictEqual(numberOf(text, "swaggersocket_connections_opened"), 2)
      assert.strictEqual(numberOf(text, "swaggersocket_connections"), 2)
    }).pipe(
      Effect.scoped,
      Effect.provideService(Metric.MetricRegistry, new Map()),
      Effect.provide(Reconnection.layer({ schedule: Schedule.spaced("1 millis") }))
    ))

  it.effect("metrics count refusals and reconnects", () => {
    class Peers extends SwaggerSocketServer.Service<Peers>()("test/Peers") {}
    let refusals = 2
    const server = Peers.layerNoRoute({
      authenticate: () =>
        refusals-- > 0
          ? Effect.fail(new Handshake.Refusal({ code: "OVERLOADED", reason: "later" }))
          : Effect.succeed(undefined)
    })
    return Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const waiting = yield* Effect.forkChild(client.connection, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.isDefined(waiting.pollUnsafe())
      const text = yield* PrometheusMetrics.format()
      assert.strictEqual(numberOf(text, "swaggersocket_refusals"), 2)
      assert.strictEqual(numberOf(text, "swaggersocket_reconnects"), 2)
    }).pipe(Effect.provide(SwaggerSocketTest.layerClient(Peers).pipe(Layer.provideMerge(server))), ownRegistry)
  })
})

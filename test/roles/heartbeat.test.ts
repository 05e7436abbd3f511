import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/testing/TestClock"

const text = new TextEncoder()

describe("Heartbeat", () => {
  it.effect("a quiet connection stays open: both ends ping every 25 seconds and are answered", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* client.status, "open")
      assert.strictEqual(yield* server.status, "open")
      // Ten pings and ten pongs each way, of 25 seconds.
      assert.isAtLeast((yield* client.statistics).messagesReceived, 20)
    }))

  it.effect("application data travels with the ping and comes back with the pong; hooks see both", () =>
    Effect.gen(function*() {
      const seen = yield* Queue.unbounded<readonly [string, string]>()
      const layer = Heartbeat.layer({
        interval: "1 second",
        timeout: "1 second",
        data: Effect.succeed(text.encode("hello")),
        onPing: ({ data }) => Effect.asVoid(Queue.offer(seen, ["ping", new TextDecoder().decode(data)])),
        onPong: ({ data, roundTrip }) => {
          assert.isTrue(Duration.isDuration(roundTrip))
          return Effect.asVoid(Queue.offer(seen, ["pong", new TextDecoder().decode(data)]))
        }
      })
      yield* Effect.provide(SwaggerSocketTest.makePair(), layer)
      yield* TestClock.adjust("1 second")
      const events = yield* Queue.takeBetween(seen, 4, 4)
      assert.deepStrictEqual([...events].sort(), [
        ["ping", "hello"],
        ["ping", "hello"],
        ["pong", "hello"],
        ["pong", "hello"]
      ])
    }))

  it.effect("more than 125 bytes of application data are cut, not an error", () =>
    Effect.gen(function*() {
      const sizes = yield* Queue.unbounded<number>()
      const layer = Heartbeat.layer({
        interval: "1 second",
        timeout: "1 second",
        data: Effect.succeed(new Uint8Array(500)),
        onPong: ({ data }) => Effect.asVoid(Queue.offer(sizes, data.length))
      })
      const { client } = yield* Effect.provide(SwaggerSocketTest.makePair(), layer)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Queue.take(sizes), 125)
      assert.strictEqual(yield* client.status, "open")
    }))

  it.effect("each end can have a heartbeat of its own", () =>
    Effect.gen(function*() {
      let made = 0
      const layer = Layer.succeed(Heartbeat.Heartbeat, () => {
        made++
        return Effect.succeed({ run: Effect.never, onPing() {}, onPong() {} })
      })
      const { client } = yield* Effect.provide(SwaggerSocketTest.makePair(), layer)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(made, 2)
      assert.strictEqual((yield* client.statistics).messagesSent, 0)
    }))

  it.effect("silence after a ping ends the connection on the end that pinged, within interval and timeout", () =>
    Effect.gen(function*() {
      const deaf = Heartbeat.make({ interval: "25 seconds", timeout: "20 seconds" })
      const beat = yield* deaf({
        connectionId: "x",
        ping() {},
        received: () => 0,
        roundTrip() {},
        fork() {}
      })
      const fiber = yield* Effect.forkChild(Effect.flip(beat.run), { startImmediately: true })
      yield* TestClock.adjust("44 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert.deepInclude(error.reason, { _tag: "HeartbeatTimeout", timeoutMillis: 20_000 })
    }))

  it.effect("any traffic counts as life, not only the pong", () =>
    Effect.gen(function*() {
      let received = 0
      const beat = yield* Heartbeat.make()({
        connectionId: "x",
        ping() {},
        received: () => received++,
        roundTrip() {},
        fork() {}
      })
      const fiber = yield* Effect.forkChild(beat.run, { startImmediately: true })
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(fiber.pollUnsafe())
    }))
})

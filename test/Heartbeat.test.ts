/**
 * Pings of a connection: when they are sent, and which silence ends the connection.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/testing/TestClock"
import { answering, standStill } from "./support/stalledProcess.ts"
import { until } from "./support/waiting.ts"

/** Milliseconds. */
const pongTimeout = 20

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

  it.effect("application data travels with a ping and comes back with its pong; the hooks of both ends see it", () =>
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

  it.effect("application data beyond 125 bytes are cut without an error", () =>
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

  it.effect("each end makes a heartbeat of its own", () =>
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

  it.effect("silence after a ping ends the connection on the end that pinged, after the timeout", () =>
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

  /** A link that is asked for its pings, and when they came. */
  const makeLink = Effect.map(Clock.Clock, (clock) => {
    const start = clock.monotonicTimeNanosUnsafe()
    const seconds = () => Number(clock.monotonicTimeNanosUnsafe() - start) / 1e9
    const link = {
      pings: [] as Array<number>,
      roundTrips: [] as Array<number>,
      messages: 0,
      connectionId: "x",
      ping: () => void link.pings.push(seconds()),
      received: () => link.messages,
      roundTrip: (millis: number) => void link.roundTrips.push(millis),
      fork: (effect: Effect.Effect<void>) => void Effect.runFork(effect)
    }
    return link
  })

  it.effect("a heartbeat pings at its interval, whatever the timeout is and whether or not a ping is answered", () =>
    Effect.gen(function*() {
      const cases = [
        [{ interval: "5 seconds" }, [5, 10, 15, 20, 25]],
        [{ interval: "5 seconds", timeout: "6 seconds" }, [5, 10, 15, 20, 25]],
        [{ interval: "10 seconds", timeout: "2 seconds" }, [10, 20]],
        [{}, [25]]
      ] as const
      for (const [options, expected] of cases) {
        const link = yield* makeLink
        const fiber = yield* Effect.forkChild((yield* Heartbeat.make(options)(link)).run, { startImmediately: true })
        for (let second = 0; second < 29; second++) {
          yield* TestClock.adjust("1 second")
          link.messages++
        }
        assert.deepStrictEqual(link.pings, [...expected])
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("a heartbeat reports silence when the timeout has passed since the first ping that nothing followed", () =>
    Effect.gen(function*() {
      const link = yield* makeLink
      const beat = yield* Heartbeat.make({ interval: "5 seconds" })(link)
      const fiber = yield* Effect.forkChild(Effect.flip(beat.run), { startImmediately: true })
      yield* TestClock.adjust("9 seconds")
      link.messages++
      // The ping of the tenth second is the first that nothing follows.
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* Fiber.join(fiber)).reason, { _tag: "HeartbeatTimeout", timeoutMillis: 20_000 })
    }))

  it.effect("a heartbeat measures each round trip when several pings are under way", () =>
    Effect.gen(function*() {
      const link = yield* makeLink
      const beat = yield* Heartbeat.make({ interval: "1 second" })(link)
      const fiber = yield* Effect.forkChild(beat.run, { startImmediately: true })
      yield* TestClock.adjust("3500 millis")
      for (const _ of [1, 2, 3, 4]) beat.onPong(new Uint8Array(0))
      assert.deepStrictEqual(link.roundTrips, [2500, 1500, 500])
      yield* Fiber.interrupt(fiber)
    }))

  it("an interval or a timeout of 0 is a RangeError", () => {
    assert.throws(() => Heartbeat.make({ interval: 0 }), RangeError, "interval")
    assert.throws(() => Heartbeat.layer({ timeout: "0 seconds" }), RangeError, "timeout")
  })

  it.live("a process that stalled reads its link before it declares the link dead", () =>
    Effect.gen(function*() {
      const link = yield* makeLink
      const beat = yield* Heartbeat.make({ interval: "20 millis", timeout: "200 millis" })({
        ...link,
        ping() {
          link.ping()
          const stalls = link.pings.length === 2
          setTimeout(() => {
            for (const until = performance.now() + (stalls ? 1500 : 0); performance.now() < until;);
            // What has arrived meanwhile is read after the timers that are due, and taken in by a fiber.
            setImmediate(() => setImmediate(() => link.messages++))
          }, 5)
        }
      })
      const fiber = yield* Effect.forkChild(Effect.exit(beat.run), { startImmediately: true })
      while (link.pings.length <= 10 && fiber.pollUnsafe() === undefined) yield* Effect.sleep("10 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("hooks run one at a time, and only the newest waits", () =>
    Effect.gen(function*() {
      const link = yield* makeLink
      const until = (holds: () => boolean): Effect.Effect<void> =>
        Effect.suspend(() => holds() ? Effect.void : Effect.andThen(Effect.yieldNow, until(holds)))
      let running = 0
      let most = 0
      let forked = 0
      const seen: Array<number> = []
      const go = Deferred.makeUnsafe<void>()
      const beat = yield* Heartbeat.make({
        onPing: ({ data }) =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            seen.push(data[0]!)
            yield* Deferred.await(go)
            running--
          })
      })({
        ...link,
        fork: (effect) => {
          forked++
          link.fork(effect)
        }
      })
      beat.onPing(Uint8Array.of(255))
      yield* until(() => seen.length === 1)
      for (let index = 0; index < 100_000; index++) beat.onPing(Uint8Array.of(index % 256))
      yield* Effect.yieldNow
      assert.deepStrictEqual([forked, most, running, seen], [1, 1, 1, [255]])
      yield* Deferred.succeed(go, undefined)
      yield* until(() => running === 0 && seen.length === 2)
      beat.onPing(Uint8Array.of(7))
      yield* until(() => running === 0 && seen.length === 3)
      assert.deepStrictEqual([most, seen], [1, [255, 99_999 % 256, 7]])
      assert.isAtMost(forked, 2)
    }))

  it.effect("a defect of a hook is logged, and the next hook runs", () => {
    const lines: Array<string> = []
    const logger = Logger.make((options) => void lines.push(`${options.logLevel} ${JSON.stringify(options.message)}`))
    return Effect.gen(function*() {
      const ran = yield* Queue.unbounded<string>()
      const layer = Heartbeat.layer({
        interval: "1 second",
        onPing: () => Effect.andThen(Queue.offer(ran, "ping"), Effect.die(new Error("no"))),
        onPong: () => {
          throw new Error("no")
        }
      })
      const { client } = yield* Effect.provide(SwaggerSocketTest.makePair(), layer)
      yield* TestClock.adjust("3 seconds")
      yield* Queue.takeBetween(ran, 6, 6)
      assert.strictEqual(yield* client.status, "open")
      for (const name of ["onPing", "onPong"]) {
        const logged = lines.filter((line) => line.startsWith("Error") && line.includes(`Heartbeat.${name}`))
        assert.strictEqual(logged.length, 6, lines.join("\n"))
      }
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("any message from the peer counts as a sign of life, not only a pong", () =>
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

  it.live("a process that stalls until the pong timeout finds the pong before it declares the connection dead", () =>
    Effect.gen(function*() {
      const answers = new Int32Array(new SharedArrayBuffer(4))
      const { socket } = yield* answering(answers)
      let [pings, received] = [0, 0]
      const beat = yield* Heartbeat.make({ interval: "10 millis", timeout: Duration.millis(pongTimeout) })({
        connectionId: "x",
        ping() {
          socket.write("x")
          pings++
          // Once this turn is over: what was written leaves with it.
          setImmediate(() => standStill(answers, pings, 2 * pongTimeout))
        },
        received: () => received,
        roundTrip() {},
        fork() {}
      })
      socket.on("data", (data) => {
        received += data.length
        beat.onPong(new Uint8Array(0))
      })
      const running = yield* Effect.forkChild(beat.run)
      yield* until("five pings", () => pings >= 5)
      assert.isUndefined(running.pollUnsafe())
      // The peer has stopped: it is found out all the same.
      socket.removeAllListeners("data").pause()
      const error = yield* Effect.flip(Fiber.join(running))
      assert.strictEqual(error.reason._tag, "HeartbeatTimeout")
    }))
})

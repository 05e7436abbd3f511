/**
 * Connections that have no call for long, or are old, are drained: their clients dial again, and no call is lost.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/testing/TestClock"
import { Lifetimes } from "../../src/internal/server/lifetimes.ts"
import { keepEvents } from "../support/events.ts"
import { eventually } from "../support/waiting.ts"

class Hub extends SwaggerSocketServer.Service<Hub>()("lifetimes/Hub") {}

const start = Effect.fnUntraced(function*(serverLimits: Limits.Options, wire: "v1" | "v2" = "v2") {
  const release = yield* Deferred.make<void>()
  const routes = Layer.mergeAll(
    HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")),
    HttpRouter.add("GET", "/slow", Effect.as(Deferred.await(release), HttpServerResponse.text("done")))
  )
  const context = yield* Layer.build(
    Layer.mergeAll(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(ApiServer.layerServer(Hub))
      ),
      ApiClient.layer
    ).pipe(Layer.provideMerge(SwaggerSocketTest.layer(Hub, { wire, serverLimits, limits: { drainTimeout: "1 hour" } })))
  )
  const client = Context.get(context, SwaggerSocketClient.SwaggerSocketClient)
  const events = yield* keepEvents(Context.get(context, Hub).events)
  return { client, events, release, api: Context.get(context, HttpClient.HttpClient) }
})

const text = (response: { readonly text: Effect.Effect<string, unknown> }) => response.text

const retired = Effect.map(Metric.snapshot, (snapshots) =>
  snapshots
    .filter(({ id }) => id === "swaggersocket_connections_retired")
    .map(({ attributes, state }) => [attributes?.["because"], (state as { readonly count: number }).count]))

describe("maxConnectionAge", () => {
  it.effect("an old connection is drained: its call finishes, and the next one goes to another connection", () =>
    Effect.gen(function*() {
      const { api, client, events, release } = yield* start({ maxConnectionAge: "10 minutes", drainTimeout: "1 hour" })
      const first = yield* client.connection
      const slow = yield* Effect.forkChild(Effect.flatMap(api.get("/slow"), text), { startImmediately: true })
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* first.status, "open")
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(yield* first.status, "draining")
      assert.strictEqual(yield* Effect.flatMap(api.get("/ping"), text), "pong")
      const second = yield* client.connection
      assert.notStrictEqual(second.id, first.id)
      yield* Deferred.succeed(release, undefined)
      assert.strictEqual(yield* Fiber.join(slow), "done")
      const end = yield* first.closed
      assert.deepInclude(end, { _tag: "Closed", initiator: "remote", code: 1000 })
      yield* eventually(() => assert.isTrue(events.some(({ _tag }) => _tag === "ConnectionClosed")))
      const closed = events.find(({ _tag }) => _tag === "ConnectionClosed")
      assert.deepInclude(closed, { initiator: "local", reason: "the connection has reached its maximum age" })
      assert.deepStrictEqual(yield* retired, [["age", 1]])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("maxConnectionIdle", () => {
  it.effect("a connection without a call is drained; one with a call, or with calls now and then, is not", () =>
    Effect.gen(function*() {
      const { api, client, events, release } = yield* start({ maxConnectionIdle: "10 minutes" })
      const first = yield* client.connection
      const slow = yield* Effect.forkChild(Effect.flatMap(api.get("/slow"), text), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Deferred.succeed(release, undefined)
      assert.strictEqual(yield* Fiber.join(slow), "done")
      for (let times = 0; times < 5; times++) {
        yield* TestClock.adjust("9 minutes")
        assert.strictEqual(yield* Effect.flatMap(api.get("/ping"), text), "pong")
      }
      assert.strictEqual(yield* first.status, "open")
      yield* TestClock.adjust("12 minutes")
      assert.deepInclude(yield* first.closed, { _tag: "Closed", initiator: "remote", code: 1000 })
      yield* eventually(() => assert.isTrue(events.some(({ _tag }) => _tag === "ConnectionClosed")))
      const closed = events.find(({ _tag }) => _tag === "ConnectionClosed")
      assert.deepInclude(closed, { initiator: "local", reason: "the connection has reached its maximum idle time" })
      assert.strictEqual(yield* Effect.flatMap(api.get("/ping"), text), "pong")
      assert.deepStrictEqual(yield* retired, [["idle time", 1]])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("connections that stay", () => {
  it.effect("those of wire v1, and by default all", () =>
    Effect.gen(function*() {
      const limits = { maxConnectionAge: "10 minutes", maxConnectionIdle: "10 minutes" } as const
      const v1 = yield* (yield* start(limits, "v1")).client.connection
      const v2 = yield* (yield* start({})).client.connection
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual([yield* v1.status, yield* v2.status], ["open", "open"])
    }))
})

describe("many connections", () => {
  const mux = { active: { local: 0, remote: 0, waiting: 0 }, counters: { streamsOpened: 0, streamsAccepted: 0 } }
  const make = (n: number) => ({
    id: `${Math.floor(n * 2 ** 32 / 1000).toString(16).padStart(8, "0")}-`,
    mux: mux as never,
    now: "open" as const,
    wire: "v2" as const
  })

  it("those that are due at once are retired one after the other, each once, as turns have time for them", () => {
    let now = 0
    const timers: Array<() => void> = []
    const steps: Array<() => void> = []
    const retired: Array<string> = []
    const drivers = Array.from({ length: 1000 }, (_, n) => make(n))
    const lifetimes = new Lifetimes<ReturnType<typeof make>>({
      limits: { maxConnectionAge: Duration.infinity, maxConnectionIdle: Duration.seconds(100) },
      now: () => now,
      delay: (millis, run) => {
        timers.push(() => {
          now += millis
          run()
        })
      },
      inTurn: (step) => void steps.push(step),
      connections: () => drivers,
      retire: ({ id }) => retired.push(id)
    })
    for (const driver of drivers) lifetimes.add(driver)
    for (let timer = timers.shift(); timer !== undefined; timer = now < 110_000 ? timers.shift() : undefined) timer()
    assert.deepStrictEqual(retired, [])
    for (const step of steps) step()
    assert.deepStrictEqual(retired, drivers.map(({ id }) => id))
  })

  it("ages differ by up to a tenth, evenly", () => {
    let now = 0
    const timers: Array<() => void> = []
    const ages: Array<number> = []
    let left = Array.from({ length: 1000 }, (_, n) => make(n))
    const lifetimes = new Lifetimes<ReturnType<typeof make>>({
      limits: { maxConnectionAge: Duration.seconds(100), maxConnectionIdle: Duration.infinity },
      now: () => now,
      delay: (millis, run) => {
        timers.push(() => {
          now += millis
          run()
        })
      },
      inTurn: (step) => step(),
      connections: () => left,
      retire: (driver) => {
        ages.push(now)
        left = left.filter((other) => other !== driver)
      }
    })
    for (const driver of left) lifetimes.add(driver)
    assert.lengthOf(timers, 1, "one timer for all")
    for (let timer = timers.shift(); timer !== undefined; timer = timers.shift()) timer()
    assert.lengthOf(ages, 1000)
    assert.isAtLeast(Math.min(...ages), 90_000)
    assert.isAtMost(Math.max(...ages), 110_000 + 1000)
    const quarters = [95_000, 100_000, 105_000].map((age) => ages.filter((other) => other <= age).length)
    for (const [quarter, count] of quarters.entries()) {
      assert.approximately(count, 250 * (quarter + 1), 60)
    }
  })
})

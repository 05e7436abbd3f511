/**
 * When a client dials again, when it stops, and what calls without a connection do.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Handshake from "effect-swaggersocket/Handshake"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

class Peers extends SwaggerSocketServer.Service<Peers, string>()("test/Peers") {}

/** Lets time pass until a fiber is done, for a minute at most; between two waits it may take any number of turns. */
const passTime = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function*() {
    for (let passed = 0; passed < 600 && fiber.pollUnsafe() === undefined; passed++) {
      for (let turns = 0; turns < 20; turns++) yield* Effect.promise(() => new Promise(setImmediate))
      yield* TestClock.adjust("100 millis")
    }
  })

/** A server that turns clients away as long as `refusals` lasts. */
const refusing = (refusals: Array<Handshake.Refusal>, limits?: Limits.Options) =>
  SwaggerSocketTest.layerClient(Peers, { metadata: null, limits }).pipe(
    Layer.provideMerge(Peers.layerNoRoute({
      authenticate: () => {
        const refusal = refusals.shift()
        return refusal === undefined ? Effect.succeed("welcome") : Effect.fail(refusal)
      }
    }))
  )

const overloaded = () => new Handshake.Refusal({ code: "OVERLOADED", reason: "later" })
const unknown = () => new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "who are you" })

describe("Reconnection", () => {
  // PROTOCOL.md ERR-9
  it("full jitter draws each delay between 0 and a bound that doubles up to the cap", () =>
    Effect.gen(function*() {
      const delays = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () =>
          Effect.gen(function*() {
            const step = yield* Schedule.toStep(Reconnection.fullJitter({ base: "1 second", cap: "8 seconds" }))
            const millis: Array<number> = []
            for (let i = 0; i < 6; i++) millis.push(Duration.toMillis((yield* step(0, undefined))[1]))
            return millis
          })
      )
      const bounds = [1000, 2000, 4000, 8000, 8000, 8000]
      bounds.forEach((bound, i) => {
        const column = delays.map((row) => row[i]!)
        assert.isAtMost(Math.max(...column), bound)
        assert.isAbove(Math.max(...column), bound * 0.9)
        assert.isBelow(Math.min(...column), bound * 0.1)
      })
    }).pipe(Effect.runPromise))

  it.effect("a client dials again after the back-off when a refusal allows it", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const events = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(client.events, 3)),
        { startImmediately: true }
      )
      const connection = yield* Effect.forkChild(client.connection, { startImmediately: true })
      yield* passTime(connection)
      const { id } = yield* Fiber.join(connection)
      const seen = yield* Fiber.join(events)
      assert.deepStrictEqual(
        seen.map((event) => event._tag === "ConnectionAttemptFailed" ? [event.attempt, event.willRetry] : event._tag),
        [[1, true], [2, true], "ConnectionReceived"]
      )
      assert.deepInclude(seen[2], { connectionId: id })
    }).pipe(Effect.provide(refusing([overloaded(), overloaded()]))))

  // PROTOCOL.md ERR-8
  it.effect("a client stops dialling after a final refusal: calls that wait fail with the refusal", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const error = yield* Effect.flip(client.connection)
      assert.deepInclude(error.reason, {
        _tag: "HandshakeRefused",
        code: "UNAUTHENTICATED",
        initiator: "remote",
        retry: false
      })
      assert.strictEqual((yield* client.status)._tag, "Stopped")
    }).pipe(Effect.provide(refusing([unknown()]))))

  it.effect("a client stops dialling when its schedule is over", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const waiting = yield* Effect.forkChild(Effect.flip(client.connection), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.deepInclude((yield* Fiber.join(waiting)).reason, { code: "OVERLOADED" })
    }).pipe(
      Effect.provide(
        refusing(Array.from({ length: 10 }, overloaded)).pipe(
          Layer.provide(Reconnection.layer({ schedule: Schedule.recurs(3) }))
        )
      )
    ))

  it.effect("a client dials again when the server closes its connection, and gets a connection with a new id", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const server = yield* Peers
      const first = yield* client.connection
      const seen = yield* server.awaitConnection()
      yield* seen.close({ code: 4321, reason: "moved" })
      const end = yield* first.closed
      assert.deepStrictEqual(end, { _tag: "Closed", initiator: "remote", code: 4321, reason: "moved" })
      const next = yield* Effect.forkChild(client.connection, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.notStrictEqual((yield* Fiber.join(next)).id, first.id)
    }).pipe(Effect.provide(refusing([]))))

  it.effect("reconnect dials at once, without the back-off, and resumes the connection", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const first = yield* client.connection
      const seen = yield* Effect.forkChild(Stream.runCollect(Stream.take(client.events, 3)), { startImmediately: true })
      yield* client.reconnect
      assert.deepStrictEqual(
        (yield* Fiber.join(seen)).map((event) => event._tag),
        ["ConnectionReceived", "ConnectionInterrupted", "ConnectionResumed"]
      )
      assert.strictEqual(yield* client.connection, first)
      assert.strictEqual(yield* first.status, "open")
    }).pipe(Effect.provide(refusing([]))))

  it.effect("reconnect dials at once for another connection where sessions are off", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const first = yield* client.connection
      yield* client.reconnect
      const second = yield* Effect.flatMap(
        Stream.runHead(
          Stream.filter(client.changes, (status) => status._tag === "Connected" && status.connection.id !== first.id)
        ),
        Effect.fromOption
      )
      assert.strictEqual(second._tag, "Connected")
    }).pipe(Effect.provide(refusing([], { resumeWindow: 0 }))))
})

describe("back-off", () => {
  /** Ends each connection some time after it was established; answers how many there were in 10 minutes. */
  const connectionsWithin10Minutes = (
    life: Duration.Input,
    end: (connection: Connection.Connection) => Effect.Effect<void>
  ) =>
    Effect.gen(function*() {
      const server = yield* Peers
      let count = 0
      yield* Effect.forkScoped(Stream.runForEach(server.events, (event) =>
        event._tag !== "ConnectionReceived" ? Effect.void : Effect.gen(function*() {
          count++
          const connection = yield* server.connection(event.connectionId)
          yield* Effect.forkScoped(Effect.delay(end(connection), life))
        })))
      for (let i = 0; i < 300; i++) {
        yield* TestClock.adjust("2 seconds")
      }
      return count
    }).pipe(Effect.scoped, Effect.provide(refusing([], { resumeWindow: 0 })))

  it.effect("the back-off grows while the server accepts connections and closes them at once", () =>
    Effect.gen(function*() {
      // With 30 seconds at most, drawn evenly, about 46.
      assert.isBelow(yield* connectionsWithin10Minutes(0, (connection) => connection.close()), 90)
    }))

  it.effect("the back-off grows while the server accepts connections and drains them at once", () =>
    Effect.gen(function*() {
      const end = (connection: Connection.Connection) => connection.close({ drain: true })
      assert.isBelow(yield* connectionsWithin10Minutes(0, end), 90)
    }))

  it.effect("the back-off starts again after a connection that has lived for some seconds", () =>
    Effect.gen(function*() {
      // Each takes 6 seconds, and up to half a second until the next.
      assert.isAbove(yield* connectionsWithin10Minutes("6 seconds", (connection) => connection.close()), 85)
    }))

  it.effect("the back-off grows while links break as soon as they have resumed the connection", () =>
    Effect.gen(function*() {
      const { client, cut } = yield* SwaggerSocketTest.makePair()
      let count = 0
      for (let i = 0; i < 300; i++) {
        if ((yield* client.status) === "open") {
          count++
          yield* cut
        }
        yield* TestClock.adjust("2 seconds")
      }
      assert.isBelow(count, 90)
    }))
})

describe("reconnect of a stopped client", () => {
  it.effect("reconnect makes a stopped client dial again, and later calls wait for that attempt", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      assert.deepInclude((yield* Effect.flip(client.connection)).reason, { code: "UNAUTHENTICATED" })
      yield* client.reconnect
      const status = yield* client.status
      assert.deepInclude(status, { _tag: "Connecting", attempt: 1 })
      assert.strictEqual(yield* (yield* client.connection).status, "open")
      assert.strictEqual((yield* client.status)._tag, "Connected")
    }).pipe(Effect.provide(refusing([unknown()]))))

  it.effect("reconnect makes a client dial again each time that it has stopped", () =>
    Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      for (let i = 0; i < 3; i++) {
        assert.deepInclude((yield* Effect.flip(client.connection)).reason, { code: "UNAUTHENTICATED" })
        assert.strictEqual((yield* client.status)._tag, "Stopped")
        yield* client.reconnect
      }
      yield* client.connection
    }).pipe(Effect.provide(refusing([unknown(), unknown(), unknown()]))))

  it.effect("reconnect does nothing once the scope of the client has closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(refusing([]), scope)
      const client = Context.get(context, SwaggerSocketClient)
      yield* client.connection
      yield* Scope.close(scope, Exit.void)
      yield* client.reconnect
      assert.include((yield* Effect.flip(client.connection)).message, "scope has closed")
      assert.strictEqual((yield* client.status)._tag, "Stopped")
    }))
})

describe("calls without a connection", () => {
  const routes = HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")), {
    disableLogger: true,
    disableListenLog: true
  })

  it.effect("calls before the first connection wait for it", () =>
    Effect.gen(function*() {
      const client = yield* Effect.provide(Effect.service(HttpClient.HttpClient), ApiClient.layer)
      const call = yield* Effect.forkChild(Effect.flatMap(client.get("/ping"), (response) => response.text), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "pong")
    }).pipe(
      Effect.provide(routes.pipe(
        Layer.provide(ApiServer.layerServer(Peers)),
        Layer.provideMerge(refusing([overloaded(), overloaded()]))
      ))
    ))

  it.effect("calls without a connection wait no longer than the caller's timeout", () =>
    Effect.gen(function*() {
      const client = yield* Effect.provide(Effect.service(HttpClient.HttpClient), ApiClient.layer)
      const call = yield* Effect.forkChild(Effect.flip(Effect.timeout(client.get("/ping"), "2 seconds")), {
        startImmediately: true
      })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(call))._tag, "TimeoutError")
    }).pipe(
      Effect.provide(
        refusing(Array.from({ length: 100 }, overloaded)).pipe(
          Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("1 second") }))
        )
      )
    ))

  it.effect("calls fail at once when the client has stopped dialling", () =>
    Effect.gen(function*() {
      const client = yield* Effect.provide(Effect.service(HttpClient.HttpClient), ApiClient.layer)
      const error = yield* Effect.flip(client.get("/ping"))
      assert.strictEqual(error.reason._tag, "TransportError")
      assert.include(error.message, "UNAUTHENTICATED")
    }).pipe(Effect.provide(refusing([unknown()]))))

  it.effect("calls fail at once when the client's scope has closed", () =>
    Effect.gen(function*() {
      const client = yield* Effect.provide(
        Effect.service(HttpClient.HttpClient),
        Layer.provide(ApiClient.layer, refusing([]))
      )
      const error = yield* Effect.flip(client.get("/ping"))
      assert.include(error.message, "scope has closed")
    }))

  it.effect("calls are repeated while the peer serves nothing yet, because no handler processed them", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      const call = yield* Effect.forkChild(ApiClient.make(client).get("/ping"), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Layer.build(routes.pipe(Layer.provide(ApiServer.layerConnection(server))))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(call)).status, 200)
    }))

  it.effect("calls end as not processed when the peer never serves an API", () =>
    Effect.gen(function*() {
      const { client } = yield* SwaggerSocketTest.makePair()
      const call = yield* Effect.forkChild(Effect.flip(ApiClient.make(client).get("/ping")), {
        startImmediately: true
      })
      yield* passTime(call)
      const error = yield* Fiber.join(call)
      assert.strictEqual(outcomeOf(error), "not-processed")
      // Once, and 6 times again, none of them without a delay.
      assert.strictEqual((yield* client.statistics).streamsOpened, 7)
    }))

  it.effect("calls of a client for one connection are repeated as the caller's context says", () =>
    Effect.gen(function*() {
      const { client } = yield* SwaggerSocketTest.makePair()
      const twice = ApiClient.layerRetryPolicy({ schedule: Schedule.recurs(2) })
      const context = yield* Layer.build(twice)
      const fetch = ApiClient.toFetch(client, context)
      for (
        const call of [
          Effect.provide(ApiClient.make(client).get("/ping"), twice),
          Effect.tryPromise(() => fetch("/ping"))
        ] as ReadonlyArray<Effect.Effect<unknown, unknown>>
      ) {
        const before = (yield* client.statistics).streamsOpened
        yield* Effect.flip(call)
        assert.strictEqual((yield* client.statistics).streamsOpened - before, 3)
      }
    }))

  it.effect("calls on a closed connection fail as not sent", () =>
    Effect.gen(function*() {
      const { client } = yield* SwaggerSocketTest.makePair()
      yield* client.close()
      assert.strictEqual(outcomeOf(yield* Effect.flip(ApiClient.make(client).get("/ping"))), "not-sent")
    }))
})

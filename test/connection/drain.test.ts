/**
 * Connections that are closed with a drain: calls in progress finish, new calls go elsewhere, and no caller notices.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Limits from "effect-swaggersocket/Limits"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { type Ends, join, roles, serveRoutes } from "../support/connections.ts"
import {
  behindProxy,
  counting,
  isDone,
  once,
  slow,
  start,
  statuses,
  successor,
  text,
  until
} from "../support/draining.ts"
import { timed } from "../support/measurements.ts"
import { eventually } from "../support/waiting.ts"

const sides = ["server", "client"] as const

/** How often what depends on timing is done. */
const rounds = 5

describe("connection that is closed with a drain", () => {
  for (const closing of sides) {
    const other = closing === "server" ? "client" : "server"
    it.live(`a drain by the ${closing} lets calls of both ends finish, and new calls are not sent`, () =>
      Effect.gen(function*() {
        const ends = yield* join()
        const seen = { server: yield* statuses(ends.server), client: yield* statuses(ends.client) }
        const apis = { server: yield* slow(), client: yield* slow() }
        for (const side of sides) yield* serveRoutes(ends[side], apis[side].routes)
        const calls = yield* Effect.forEach(sides, (side) => start(text(roles(ends, side).api.post("/slow"))))
        for (const side of sides) yield* apis[side].started
        const closed = yield* start(ends[closing].close({ drain: true, code: 4900, reason: "enough" }))
        yield* until(ends[other], "draining")
        assert.strictEqual(outcomeOf(yield* Effect.flip((yield* once(ends[other])).post("/slow"))), "not-sent")
        yield* apis[other].finish
        assert.strictEqual(yield* Fiber.join(calls[sides.indexOf(other)]!), "at last")
        assert.isFalse(isDone(closed), "closed while a call was in progress")
        yield* apis[closing].finish
        assert.strictEqual(yield* Fiber.join(calls[sides.indexOf(closing)]!), "at last")
        yield* Fiber.join(closed)
        const how = { _tag: "Closed", code: 4900, reason: "enough" } as const
        assert.deepStrictEqual(yield* ends[closing].closed, { ...how, initiator: "local" })
        assert.deepStrictEqual(yield* ends[other].closed, { ...how, initiator: "remote" })
        for (const side of sides) assert.strictEqual(apis[side].handler.executions, 1)
        yield* eventually(() => {
          assert.deepStrictEqual(seen[closing], ["open", "draining", "closing", "closed"])
          assert.deepStrictEqual(seen[other], ["open", "draining", "closed"])
        })
      }))

    it.live(`a drain by the ${closing} lets its handlers call back before they answer`, () =>
      Effect.gen(function*() {
        const ends = yield* join()
        const back = counting("called back")
        yield* serveRoutes(ends[other], back.routes)
        const caller = yield* once(ends[closing])
        const { finish, routes, started } = yield* slow(
          Effect.map(text(caller.post("/count/0")), (answer) => HttpServerResponse.text(answer))
        )
        yield* serveRoutes(ends[closing], routes)
        const call = yield* start(text(roles(ends, closing).api.post("/slow")))
        yield* started
        const closed = yield* start(ends[closing].close({ drain: true }))
        yield* until(ends[other], "draining")
        yield* finish
        assert.strictEqual(yield* Fiber.join(call), "called back")
        yield* Fiber.join(closed)
        assert.deepStrictEqual([...back.executions], [["0", 1]])
      }))

    it.live(`a drain by the ${closing} that runs out of time ends the calls that are left with an unknown outcome`, () =>
      Effect.gen(function*() {
        const ends = yield* join()
        const apis = { server: yield* slow(), client: yield* slow() }
        for (const side of sides) yield* serveRoutes(ends[side], apis[side].routes)
        const calls = yield* Effect.forEach(sides, (side) => start(Effect.flip(roles(ends, side).api.post("/slow"))))
        for (const side of sides) yield* apis[side].started
        const [, millis] = yield* timed(ends[closing].close({ drain: "200 millis" }))
        assert.isAtLeast(millis, 190)
        for (const call of calls) assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
        yield* eventually(() => {
          for (const side of sides) assert.deepStrictEqual(apis[side].handler, { executions: 1, interruptions: 1 })
        })
      }))

    it.live(`a drain by the ${closing} makes the client move to another connection meanwhile`, () =>
      Effect.gen(function*() {
        const api = yield* slow()
        const calls = counting("the server")
        const { api: caller, client, far, near } = yield* behindProxy(Layer.merge(api.routes, calls.routes))
        const call = yield* start(text(caller.post("/slow")))
        yield* api.started
        const closed = yield* start((closing === "server" ? far : near).close({ drain: true }))
        const next = yield* successor(client, near)
        assert.strictEqual(yield* text(caller.post("/count/0")), "the server")
        assert.strictEqual((yield* next.statistics).streamsOpened, 1)
        assert.strictEqual((yield* near.statistics).streamsOpened, 1)
        assert.isFalse(isDone(closed))
        yield* api.finish
        assert.strictEqual(yield* Fiber.join(call), "at last")
        yield* Fiber.join(closed)
        assert.strictEqual((yield* client.connection).id, next.id)
      }))
  }

  it.effect("a drain waits 30 seconds by default", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      const { handler, routes, started } = yield* slow()
      yield* serveRoutes(server, routes)
      const call = yield* start(Effect.flip(ApiClient.make(client).post("/slow")))
      yield* started
      const closed = yield* start(server.close({ drain: true }))
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual([isDone(closed), isDone(call)], [false, false])
      assert.deepStrictEqual([yield* client.status, yield* server.status], ["draining", "draining"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closed)
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 1 })
    }))

  for (const closing of sides) {
    const other = closing === "server" ? "client" : "server"
    // MUTANT_SECOND_GOES_ON of spec/drain.pml. Without a session the peer sees no stream between the calls.
    it.effect(`calls that wait for each other when the ${closing} begins to drain are all handled`, () =>
      Effect.gen(function*() {
        const ends = yield* SwaggerSocketTest.makePair()
        yield* serveRoutes(
          ends[other],
          HttpRouter.add("POST", "/sleep", Effect.as(Effect.sleep("2 seconds"), HttpServerResponse.text("slept")))
        )
        const calls = yield* Effect.replicateEffect(start(text(ApiClient.make(ends[closing]).post("/sleep"))), 3)
        yield* TestClock.adjust("1 second")
        const closed = yield* start(ends[closing].close({ drain: true }))
        for (let second = 0; second < 6; second++) yield* TestClock.adjust("1 second")
        for (const call of calls) assert.strictEqual(yield* Fiber.join(call), "slept")
        yield* Fiber.join(closed)
      }).pipe(Effect.provide(Limits.layer({ maxConcurrentStreams: 1, resumeWindow: 0 }))))
  }

  it.live("a drain by both ends at once lets calls of both finish", () =>
    Effect.gen(function*() {
      const ends = yield* join()
      const apis = { server: yield* slow(), client: yield* slow() }
      for (const side of sides) yield* serveRoutes(ends[side], apis[side].routes)
      const calls = yield* Effect.forEach(sides, (side) => start(text(roles(ends, side).api.post("/slow"))))
      for (const side of sides) yield* apis[side].started
      const closed = yield* Effect.forEach(sides, (side) => start(ends[side].close({ drain: true })))
      for (const side of sides) {
        const error = yield* Effect.flip((yield* once(ends[side])).post("/slow"))
        assert.include(["not-sent", "not-processed"], outcomeOf(error))
      }
      for (const side of sides) yield* apis[side].finish
      for (const call of calls) assert.strictEqual(yield* Fiber.join(call), "at last")
      for (const fiber of closed) yield* Fiber.join(fiber)
      for (const side of sides) {
        assert.strictEqual(yield* ends[side].status, "closed")
        const end = yield* ends[side].closed
        assert.strictEqual(end._tag === "Closed" && end.code, 1000)
        assert.strictEqual(apis[side].handler.executions, 1)
      }
    }))
})

describe("link that is lost during a drain", () => {
  const resumed = ["open", "draining", "interrupted", "draining", "closed"]

  for (const serving of sides) {
    it.live(`a server's lost link is resumed while the server drains, and the call finishes, API on the ${serving}`, () =>
      Effect.gen(function*() {
        const { finish, handler, routes, started } = yield* slow()
        const { far, near, proxy, server } = yield* behindProxy(serving === "server" ? routes : Layer.empty)
        if (serving === "client") yield* serveRoutes(near, routes)
        const { api } = roles({ client: near, server: far }, serving)
        const seen = yield* statuses(near)
        const call = yield* start(text(api.post("/slow")))
        yield* started
        const closing = yield* start(server.close)
        yield* until(near, "draining")
        yield* proxy.cut()
        yield* until(near, "interrupted")
        yield* until(near, "draining")
        yield* finish
        assert.strictEqual(yield* Fiber.join(call), "at last")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
        yield* eventually(() => assert.deepStrictEqual(seen, resumed))
      }))
  }

  for (const serving of sides) {
    for (const closing of sides) {
      it.live(`a link lost while the ${closing} drains is resumed, and the call finishes, API on the ${serving}`, () =>
        Effect.gen(function*() {
          const { finish, handler, routes, started } = yield* slow()
          const { far, near, proxy } = yield* behindProxy(Layer.empty)
          const ends: Ends = { client: near, server: far }
          const { api, serving: connection } = roles(ends, serving)
          yield* serveRoutes(connection, routes)
          const seen = yield* statuses(near)
          const call = yield* start(text(api.post("/slow")))
          yield* started
          const closed = yield* start(ends[closing].close({ drain: true }))
          for (const side of sides) yield* until(ends[side], "draining")
          yield* proxy.cut()
          for (const side of sides) yield* until(ends[side], "interrupted")
          for (const side of sides) yield* until(ends[side], "draining")
          yield* finish
          assert.strictEqual(yield* Fiber.join(call), "at last")
          yield* Fiber.join(closed)
          assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
          yield* eventually(() => assert.deepStrictEqual(seen.filter((status) => status !== "closing"), resumed))
        }))
    }
  }

  // PROTOCOL.md DRN-6
  it.live("a link that is lost with the last answer of a drain is resumed, and the answer arrives", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const { api, far, near, proxy } = yield* behindProxy(routes)
      const seen = yield* statuses(near)
      const call = yield* start(text(api.post("/slow")))
      yield* started
      const closed = yield* start(far.close({ drain: true }))
      yield* until(near, "draining")
      // The answer is all that is not acknowledged: an ACK goes with a ping.
      const before = [peerOf(far).mux.counters.messagesReceived, peerOf(near).mux.counters.messagesReceived] as const
      peerOf(near).mux.ping(new Uint8Array(0))
      yield* eventually(() => {
        assert.isAtLeast(peerOf(far).mux.counters.messagesReceived, before[0] + 2)
        assert.isAtLeast(peerOf(near).mux.counters.messagesReceived, before[1] + 1)
      })
      const link = proxy.links[0]!
      // In the middle of it: what else there may be is shorter.
      link.plan({ direction: "down", at: link.bytesOfWebSocket("down") + 12, fault: { _tag: "cut" } })
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closed)
      yield* eventually(() => assert.deepStrictEqual(seen, resumed))
    }))
})

describe("API whose scope closes", () => {
  it.live("an API whose scope closes lets calls finish, and its server, which lives on, accepts clients for another API", () =>
    Effect.gen(function*() {
      const { finish, handler, routes, started } = yield* slow()
      const { api, client, events, near, server } = yield* behindProxy(routes)
      const call = yield* start(text(api.post("/slow")))
      yield* started
      const closing = yield* start(server.closeApi)
      yield* until(near, "draining")
      const refused = () =>
        events.filter((event) =>
          event._tag === "ConnectionAttemptFailed" && event.error.reason._tag === "HandshakeRefused" &&
          event.error.reason.code === "GOING_AWAY"
        )
      yield* eventually(() => assert.isNotEmpty(refused()))
      assert.isFalse(isDone(closing))
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
      const next = yield* successor(client, near)
      const end = yield* near.closed
      assert.deepStrictEqual(end._tag === "Closed" && [end.initiator, end.code], ["remote", 1001])
      assert.strictEqual(outcomeOf(yield* Effect.flip((yield* once(next)).post("/count/0"))), "not-processed")
      const another = counting("served again")
      yield* server.serveApi(another.routes)
      assert.strictEqual(yield* text(api.post("/count/0")), "served again")
      assert.strictEqual((yield* client.connection).id, next.id)
    }))

  it.live("an API whose scope closes sends no client away while another API of its server is left", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const below = counting("below")
      const { api, near, server } = yield* behindProxy(below.routes)
      const closeApi = yield* server.serveApi(routes)
      const call = yield* start(text(api.post("/slow")))
      yield* started
      const closing = yield* start(closeApi)
      assert.strictEqual(yield* text(api.post("/count/0")), "below")
      assert.isFalse(isDone(closing))
      assert.strictEqual(yield* near.status, "open")
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* near.status, "open")
    }))

  it.live("an API of a client whose scope closes lets the hub's call finish, and later calls are refused", () =>
    Effect.gen(function*() {
      const { finish, handler, routes, started } = yield* slow()
      const { far, near, serveApi } = yield* behindProxy(Layer.empty)
      const closeApi = yield* serveApi(routes)
      const call = yield* start(text(ApiClient.make(far).post("/slow")))
      yield* started
      const closing = yield* start(closeApi)
      assert.strictEqual(outcomeOf(yield* Effect.flip((yield* once(far)).post("/slow"))), "not-processed")
      assert.isFalse(isDone(closing))
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
      assert.strictEqual(yield* near.status, "open")
    }))
})

describe("last bytes of a response", () => {
  const sizes = [100, 200_000, MiB]
  const body = (size: number) =>
    Effect.map(
      Stream.runCollect(bytesOf(size, size)),
      (chunks) => HttpServerResponse.uint8Array(Buffer.concat(chunks))
    )
  for (const [what, limits] of [["with a session", {}], ["without one", { resumeWindow: 0 }]] as const) {
    for (const size of sizes) {
      it.live(`${size} bytes arrive from a server that closes, ${what}`, () =>
        Effect.gen(function*() {
          for (let round = 0; round < rounds; round++) {
            const { finish, routes, started } = yield* slow(body(size))
            const { api, far, proxy, server } = yield* behindProxy(routes, limits)
            // What an end has sent is on its way for a while.
            yield* proxy.strike({ _tag: "delay", millis: 1 + round })
            const call = yield* start(Effect.flatMap(api.post("/slow"), ({ stream }) => sha256(stream)))
            yield* started
            const closing = yield* start(server.close)
            yield* until(far, "draining")
            yield* finish
            assert.strictEqual(yield* Fiber.join(call), hashOf(size, size))
            yield* Fiber.join(closing)
          }
        }))

      for (const serving of sides) {
        for (const closing of sides) {
          it.live(`${size} bytes arrive from the ${serving} when the ${closing} closes the connection, ${what}`, () =>
            Effect.gen(function*() {
              for (let round = 0; round < rounds; round++) {
                const { finish, routes, started } = yield* slow(body(size))
                const ends = yield* join({ serverLimits: limits, clientLimits: limits, delay: round })
                yield* serveRoutes(ends[serving], routes)
                const { api } = roles(ends, serving)
                const call = yield* start(Effect.flatMap(api.post("/slow"), ({ stream }) => sha256(stream)))
                yield* started
                const closed = yield* start(ends[closing].close({ drain: true }))
                yield* until(ends[closing], "draining")
                yield* finish
                assert.strictEqual(yield* Fiber.join(call), hashOf(size, size))
                yield* Fiber.join(closed)
              }
            }))
        }
      }
    }
  }
})

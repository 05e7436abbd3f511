/**
 * Ends that go away: what is in progress finishes, what is new goes elsewhere, and nobody notices.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Limits from "effect-swaggersocket/Limits"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { createHash } from "node:crypto"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { countTags } from "../faults/ends.ts"
import * as Proxy from "../faults/proxy.ts"
import { long } from "../faults/traffic.ts"
import {
  bytesOf,
  type Ends,
  eventually,
  hashOf,
  Hub,
  join,
  layerHub,
  MiB,
  roles,
  serveRoutes,
  sha256,
  socketUrl,
  timed
} from "../load/harness.ts"
import { connect, counting, once, serve, slow, statuses, successor, text, until } from "./draining.ts"

const sides = ["server", "client"] as const

const start = Effect.forkChild({ startImmediately: true })

/** How often what depends on timing is done. */
const rounds = 5

/** A server behind a proxy, and a client that came through it. */
const behindProxy = Effect.fnUntraced(function*<A, E, R>(
  routes: Layer.Layer<A, E, R>,
  limits?: Limits.Options
) {
  const server = yield* serve(routes, { limits })
  const proxy = yield* Proxy.make({ target: server.url })
  const caller = yield* connect({ url: proxy.url, limits })
  const near = yield* caller.client.connection
  const far = yield* server.hub.awaitConnection(({ id }) => id === near.id)
  return { server, proxy, ...caller, near, far }
})

const isDone = (fiber: Fiber.Fiber<unknown, unknown>) => fiber.pollUnsafe() !== undefined

describe("server that closes", () => {
  it.live("a server that closes lets a handler finish, and its caller gets the whole body", () =>
    Effect.gen(function*() {
      const body = Buffer.concat(yield* Stream.runCollect(bytesOf(1, 3 * MiB)))
      const { finish, handler, routes, started } = yield* slow(Effect.succeed(HttpServerResponse.uint8Array(body)))
      const { api, far, near, server } = yield* behindProxy(routes)
      const call = yield* start(Effect.flatMap(api.post("/slow"), ({ stream }) => sha256(stream)))
      yield* started
      const closing = yield* start(server.close)
      yield* until(near, "draining")
      assert.isFalse(isDone(call))
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), hashOf(1, 3 * MiB))
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
      const reason = "the server takes no more requests"
      assert.deepStrictEqual(yield* near.closed, { _tag: "Closed", initiator: "remote", code: 1001, reason })
      assert.deepStrictEqual(yield* far.closed, { _tag: "Closed", initiator: "local", code: 1001, reason })
    }))

  for (const kind of ["download", "upload", "both"] as const) {
    for (const side of sides) {
      it.live(`a server that closes lets a body in progress go on, ${kind}, API on the ${side}`, () =>
        Effect.gen(function*() {
          const { far, near, server } = yield* behindProxy(Layer.empty)
          const ends: Ends = { client: near, server: far }
          const { api, serving } = roles(ends, side)
          let left = Number.POSITIVE_INFINITY
          const more = () => left-- > 0
          const hash = createHash("sha256")
          yield* serveRoutes(serving, long[kind].routes(more, hash))
          const call = yield* start(long[kind].call(api, more, hash))
          yield* eventually(() => assert.strictEqual(peerOf(serving).mux.active.remote, 1))
          const closing = yield* start(server.close)
          yield* until(near, "draining")
          assert.isFalse(isDone(call))
          // Chunks of 16 KiB: more than all windows and buffers hold.
          left = 1000
          yield* Fiber.join(call)
          yield* Fiber.join(closing)
          assert.strictEqual((yield* near.closed)._tag, "Closed")
        }))
    }
  }

  it.live("a server that closes and has no API lets its own calls finish", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(layerHub()), scope)
      const { client, serveApi } = yield* connect({ url: yield* Effect.provide(socketUrl, context) })
      const { finish, handler, routes, started } = yield* slow()
      yield* serveApi(routes)
      const near = yield* client.connection
      const far = yield* Context.get(context, Hub).awaitConnection(({ id }) => id === near.id)
      const call = yield* start(text(ApiClient.make(far).post("/slow")))
      yield* started
      const closing = yield* start(Scope.close(scope, Exit.void))
      yield* until(near, "draining")
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
    }))

  it.live("clients leave a server that closes, and their calls go to the next server", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const [first, second] = [counting("first"), counting("second")]
      const { api, client, events, near, proxy, server } = yield* behindProxy(Layer.merge(routes, first.routes))
      const other = yield* serve(second.routes)
      assert.strictEqual(yield* text(api.post("/count/0")), "first")
      const call = yield* start(text(api.post("/slow")))
      yield* started
      yield* proxy.target(other.url)
      const closing = yield* start(server.close)
      yield* until(near, "draining")
      const direct = yield* Effect.flip((yield* once(near)).post("/count/direct"))
      assert.strictEqual(outcomeOf(direct), "not-sent")
      assert.strictEqual(yield* text(api.post("/count/1")), "second")
      assert.notStrictEqual((yield* client.connection).id, near.id)
      assert.isFalse(isDone(closing))
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      yield* near.closed
      yield* eventually(() => assert.deepStrictEqual(countTags(events), { ConnectionReceived: 2, ConnectionClosed: 1 }))
      assert.deepStrictEqual([...first.executions], [["0", 1]])
      assert.deepStrictEqual([...second.executions], [["1", 1]])
    }))

  it.live("a server that closes does not process requests that cross its GOAWAY; they succeed on the next connection", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const [first, second] = [counting("first"), counting("second")]
      const { api, far, near, proxy, server } = yield* behindProxy(Layer.merge(routes, first.routes))
      const other = yield* serve(second.routes)
      const call = yield* start(text(api.post("/slow")))
      yield* started
      yield* proxy.target(other.url)
      yield* proxy.strike({ _tag: "stall", millis: 600_000, directions: ["down"] })
      const closing = yield* start(server.close)
      yield* until(far, "draining")
      const crossing = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, id) => id),
        (id) => start(text(api.post(`/count/${id}`)))
      )
      yield* eventually(() => assert.strictEqual(peerOf(far).mux.counters.resetsSent, 50))
      assert.strictEqual(yield* near.status, "open", "the goodbye has overtaken the requests")
      yield* proxy.strike({ _tag: "stall", millis: 0, directions: ["down"] })
      for (const fiber of crossing) assert.strictEqual(yield* Fiber.join(fiber), "second")
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
      assert.strictEqual(first.executions.size, 0)
      assert.deepStrictEqual([...second.executions.values()], Array<number>(50).fill(1))
    }))

  it.live("a server that closes waits no longer than drainTimeout; calls that it interrupts end with an unknown outcome", () =>
    Effect.gen(function*() {
      const { handler, routes, started } = yield* slow()
      const { api, near, server } = yield* behindProxy(routes, { drainTimeout: "300 millis" })
      const call = yield* start(Effect.flip(api.post("/slow")))
      yield* started
      const [, millis] = yield* timed(server.close)
      assert.isAtLeast(millis, 290)
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 1 })
      assert.strictEqual((yield* near.closed)._tag, "Closed")
    }))

  it.live("a server that closes does not wait for connections without calls", () =>
    Effect.gen(function*() {
      const { routes } = counting("")
      const limits = { drainTimeout: "1 hour", closeTimeout: "1 hour" } as const
      const server = yield* serve(routes, { limits })
      const callers = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => connect({ url: server.url }),
        { concurrency: "unbounded" }
      )
      for (const [id, { api }] of callers.entries()) yield* text(api.post(`/count/${id}`))
      const ends = yield* Effect.forEach(callers, ({ client }) => client.connection)
      yield* server.close
      for (const { closed } of ends) {
        const end = yield* closed
        assert.deepStrictEqual(end._tag === "Closed" && [end.initiator, end.code], ["remote", 1001])
      }
    }))

  it.live("a server that closes gives up a silent peer after drainTimeout and closeTimeout", () =>
    Effect.gen(function*() {
      const limits = { drainTimeout: "200 millis", closeTimeout: "200 millis" } as const
      const { far, proxy, server } = yield* behindProxy(Layer.empty, limits)
      yield* proxy.strike({ _tag: "halfOpen" })
      yield* server.close
      assert.strictEqual(yield* far.status, "closed")
    }))

  it.live("a server that closes refuses new clients, which find its successor", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const { api, near, proxy, server } = yield* behindProxy(routes)
      const call = yield* start(text(api.post("/slow")))
      yield* started
      const closing = yield* start(server.close)
      yield* until(near, "draining")
      const late = yield* connect({ url: proxy.url })
      const waiting = yield* start(late.client.connection)
      const refusals = () =>
        late.events.flatMap((event) =>
          event._tag === "ConnectionAttemptFailed" && event.error.reason._tag === "HandshakeRefused"
            ? [[event.error.reason.code, event.willRetry]]
            : []
        )
      yield* eventually(() => assert.isNotEmpty(refusals()))
      assert.deepStrictEqual(refusals()[0], ["GOING_AWAY", true])
      assert.isFalse(isDone(waiting))
      const { routes: others } = counting("successor")
      const successor = yield* serve(others)
      yield* proxy.target(successor.url)
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* text(late.api.post("/count/0")), "successor")
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* Fiber.join(closing)
    }))
})

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

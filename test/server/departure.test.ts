/**
 * A server that closes: calls in progress finish, new calls and clients go to the next server, and no caller notices.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { long } from "../faults/traffic.ts"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { type Ends, Hub, layerHub, roles, serveRoutes, socketUrl } from "../support/connections.ts"
import { behindProxy, connect, counting, isDone, once, serve, slow, start, text, until } from "../support/draining.ts"
import { countTags } from "../support/events.ts"
import { timed } from "../support/measurements.ts"
import { dial } from "../support/proxied.ts"
import { dial as dialRaw } from "../support/rawPeer.ts"
import { eventually } from "../support/waiting.ts"

const sides = ["server", "client"] as const

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
        // A client closes the link itself where a busy server takes longer than a second.
        const byServer = end._tag === "Closed" && end.initiator === "remote" && end.code === 1001
        const byClient = end._tag === "Closed" && end.initiator === "local" && end.code === 1000
        assert.isTrue(byServer || byClient, JSON.stringify(end))
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

  it.live("a server that closes answers upgrades with 503 while calls that are open finish", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerHub(), scope)
      const url = yield* Effect.provide(socketUrl, context)
      const { client } = yield* dial({ url })
      const called = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      yield* serveRoutes(
        yield* client.connection,
        HttpRouter.add(
          "GET",
          "/slow",
          Effect.andThen(
            Deferred.succeed(called, undefined),
            Effect.as(Deferred.await(finish), HttpServerResponse.empty())
          )
        )
      )
      const connection = yield* Context.get(context, Hub).awaitConnection()
      const call = yield* Effect.forkChild(Effect.exit(ApiClient.make(connection).get("/slow")))
      yield* Deferred.await(called)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      const refused = yield* Effect.flip(Effect.timeout(dialRaw(url), "20 seconds"))
      assert.include(String(refused), "503")
      assert.isUndefined(closing.pollUnsafe(), "the server did not wait for the call")
      yield* Deferred.succeed(finish, undefined)
      yield* Fiber.join(closing)
      yield* Fiber.join(call)
    }))
})

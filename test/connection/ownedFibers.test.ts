/**
 * Every fiber of this package belongs to a scope: when the layers of client and server have closed, none lives on, whatever was
 * under way.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { join, serveRoutes } from "../support/connections.ts"

/** Fibers that have begun and not ended, each with the place that began it. */
const alive = new Map<Fiber.Fiber<unknown, unknown>, string>()

interface Evaluating extends Fiber.Fiber<unknown, unknown> {
  evaluate(effect: unknown): void
}

/** Effect tells nobody of fibers: all that run, whoever began them, go through this method. */
const watchFibers = Effect.acquireRelease(
  Effect.sync(() => {
    const prototype = Object.getPrototypeOf(Effect.runFork(Effect.void)) as Evaluating
    const { evaluate } = prototype
    const seen = new WeakSet<object>()
    prototype.evaluate = function(this: Evaluating, effect) {
      if (!seen.has(this)) {
        seen.add(this)
        alive.set(this, String(new Error().stack))
        this.addObserver(() => alive.delete(this))
      }
      evaluate.call(this, effect)
    }
    return () => {
      prototype.evaluate = evaluate
      alive.clear()
    }
  }),
  (restore) => Effect.sync(restore)
)

/** Milliseconds: what does not end is given up soon. */
const limits = { drainTimeout: 50, closeTimeout: 50 }

const heartbeat = Heartbeat.layer({
  interval: "10 millis",
  onPing: () => Effect.never,
  onPong: () => Effect.never
})

/** Handlers that never end, and how many of them have begun. */
const makeRoutes = () => {
  let count = 0
  const begun = Deferred.makeUnsafe<void>()
  const stuck = Effect.suspend(() => {
    if (++count === 3) Deferred.doneUnsafe(begun, Effect.void)
    return Effect.never
  })
  const ticks = Stream.concat(Stream.make(new Uint8Array(65_536), new Uint8Array(65_536)), Stream.never)
  const routes = Layer.mergeAll(
    HttpRouter.add("GET", "/stuck", stuck),
    HttpRouter.add("POST", "/once", stuck),
    HttpRouter.add("POST", "/upload", (request) => Effect.andThen(Stream.runHead(request.stream), stuck)),
    HttpRouter.add("GET", "/ticks", HttpServerResponse.stream(ticks)),
    Idempotency.layerGlobal
  ).pipe(Layer.provide(Idempotency.layer()))
  return { routes, begun: Deferred.await(begun) }
}

/** A call of each kind that is under way: never answered, never sent to its end, read in part. */
const callAll = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const client = ApiClient.make(connection)
  const endless = Stream.concat(Stream.make(new Uint8Array(8)), Stream.never).pipe(
    // What it was made from takes its time to close.
    Stream.ensuring(Effect.sleep("30 millis"))
  )
  const calls = yield* Effect.forEach([
    client.get("/stuck"),
    client.post("/once", { headers: { "idempotency-key": "key" } }),
    client.post("/upload", { body: HttpBody.stream(endless) })
  ], (call) => Effect.forkChild(Effect.exit(call), { startImmediately: true }))
  const answer = yield* Effect.promise(() => ApiClient.toFetch(connection)("/ticks"))
  // The reader stops in the middle of it.
  const reader = answer.body!.getReader()
  yield* Effect.promise(() => reader.read())
  return { calls, reader }
})

/** Both ends in a scope, with calls of each kind in both directions. */
const begin = Effect.fnUntraced(function*() {
  const ends = yield* join({ clientLimits: limits, serverLimits: limits })
  const [onClient, onServer] = [makeRoutes(), makeRoutes()]
  yield* serveRoutes(ends.client, onClient.routes)
  yield* serveRoutes(ends.server, onServer.routes)
  const ofClient = yield* callAll(ends.client)
  const ofServer = yield* callAll(ends.server)
  yield* onClient.begun
  yield* onServer.begun
  return { ends, calls: [...ofClient.calls, ...ofServer.calls], readers: [ofClient.reader, ofServer.reader] }
})

describe("fibers", () => {
  for (const state of ["connected", "interrupted"]) {
    it.live(`no fiber outlives the layers of a client and a server that are ${state}, with calls under way`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        // This fiber has begun before it could be seen. It is seen when it goes on.
        yield* Effect.yieldNow
        const before = new Set(alive.keys())
        const { calls, ends, readers } = yield* begin().pipe(Effect.provide(heartbeat), Scope.provide(scope))
        assert.isAbove(alive.size, before.size + 10, "the fibers are watched")
        if (state === "interrupted") {
          const driver = ends.server as unknown as ConnectionDriver<unknown, undefined>
          driver.dropLink(1001, linkFailure("read", "cut by the test"))
        }
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.awaitAll(calls)
        const left = [...alive].filter(([fiber]) => !before.has(fiber)).map(([, place]) => place)
        assert.deepStrictEqual(left, [])
        assert.strictEqual(readers.length, 2)
      }).pipe(Effect.provide(Layer.effectDiscard(watchFibers)), Effect.scoped))
  }
})

/**
 * Every fiber of this package belongs to a scope: when the layers of client and server have closed, none lives on, whatever was
 * under way.
 */
import { describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { leavesNoFiber } from "../support/aliveFibers.ts"
import { join, serveRoutes } from "../support/connections.ts"

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

/** Both ends, with calls of each kind in both directions. */
const beginMultiplexed = Effect.gen(function*() {
  const ends = yield* join({ clientLimits: limits, serverLimits: limits })
  const [onClient, onServer] = [makeRoutes(), makeRoutes()]
  yield* serveRoutes(ends.client, onClient.routes)
  yield* serveRoutes(ends.server, onServer.routes)
  const ofClient = yield* callAll(ends.client)
  const ofServer = yield* callAll(ends.server)
  yield* onClient.begun
  yield* onServer.begun
  // The readers are held, so that their answers are not given up for being unreachable.
  return { ends, calls: [...ofClient.calls, ...ofServer.calls], readers: [ofClient.reader, ofServer.reader] }
}).pipe(Effect.provide(heartbeat))

/** Both ends on wire v1, each with a call that is not answered, one that waits behind it, and an API that is called. */
const beginV1 = Effect.gen(function*() {
  const ends = yield* join({ wire: "v1", clientLimits: limits, serverLimits: limits })
  const calls: Array<Fiber.Fiber<unknown>> = []
  for (const [serving, calling] of [[ends.client, ends.server], [ends.server, ends.client]] as const) {
    const begun = yield* Deferred.make<void>()
    const stuck = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
    yield* serveRoutes(serving, HttpRouter.add("GET", "/stuck", stuck))
    const call = Effect.exit(ApiClient.make(calling).get("/stuck"))
    calls.push(yield* Effect.forkChild(call), yield* Effect.forkChild(call))
    yield* Deferred.await(begun)
  }
  return { ends, calls }
}).pipe(Effect.provide(heartbeat))

describe("fibers", () => {
  for (const [wire, begin] of [["v2", beginMultiplexed], ["v1", beginV1]] as const) {
    for (const state of ["connected", "cut off"]) {
      it.live(
        `no fiber outlives the layers of a client and a server on wire ${wire} that are ${state}, with calls under way`,
        () =>
          leavesNoFiber(Effect.map(begin, ({ calls, ends }) =>
            Effect.sync(() => {
              const driver = ends.server as unknown as ConnectionDriver<unknown, undefined>
              if (state === "cut off") driver.dropLink(1001, linkFailure("read", "cut by the test"))
              return Fiber.awaitAll(calls)
            })))
      )
    }
  }
})

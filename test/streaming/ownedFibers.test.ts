/**
 * Every fiber of a call with a WebSocket of its own belongs to a scope: when the layers of the server have closed and the
 * callers are interrupted, none lives on, whatever was under way.
 */
import { describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { leavesNoFiber } from "../support/aliveFibers.ts"
import { listen } from "./bindings.ts"
import { readings, serve } from "./weather.ts"

const endless = Stream.concat(Stream.fromIterable(readings(1, 2)), Stream.never)

/** Handlers that never end, and a call of each kind that has reached its handler. */
const begin = Effect.gen(function*() {
  const begun = yield* Effect.all(Array.from({ length: 4 }, () => Deferred.make<void>()))
  const enter = (index: number) => Deferred.succeed(begun[index]!, undefined)
  const server = yield* listen(serve({
    watch: () => Effect.as(enter(0), endless),
    record: (payload) => Effect.andThen(enter(1), Stream.runDrain(payload)),
    average: (payload) => Effect.andThen(Stream.runHead(payload), Effect.andThen(enter(2), Effect.never)),
    convert: (payload) => Effect.as(enter(3), Stream.map(payload, ({ celsius }) => celsius))
  }, { pingInterval: "10 millis", closeTimeout: "50 millis", sendTimeout: "1 second" }))
  const { sensors } = yield* server.client({ pingInterval: "10 millis" })
  const all: ReadonlyArray<Effect.Effect<void, unknown>> = [
    Effect.flatMap(sensors.watch({ query: {} }), Stream.runDrain),
    sensors.record({ params: { id: 1 }, payload: endless }),
    sensors.average({ payload: endless }),
    Effect.flatMap(sensors.convert({ payload: endless }), Stream.runDrain)
  ]
  const calls = yield* Effect.forEach(
    all,
    (call) => Effect.forkChild(Effect.exit(call), { startImmediately: true })
  )
  yield* Effect.forEach(begun, Deferred.await)
  return calls
})

describe("fibers of streaming endpoints", () => {
  it.live("no fiber outlives a server that closes, with calls of each kind under way", () =>
    leavesNoFiber(Effect.map(begin, (calls) => Effect.succeed(Fiber.awaitAll(calls)))))

  it.live("no fiber outlives callers that are interrupted, with calls of each kind under way", () =>
    leavesNoFiber(Effect.map(begin, (calls) => Effect.as(Fiber.interruptAll(calls), Effect.void))))
})

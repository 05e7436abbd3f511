/**
 * Ten thousand calls at once on one connection, and thousands of them interrupted: each has its own answer, and nothing
 * is left behind.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { MiB } from "../support/bodies.ts"
import { assertUsable, bodyRoutes } from "../support/bodyRoutes.ts"
import { join, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle, fixedWindow } from "../support/credit.ts"
import { extent } from "../support/extent.ts"
import { atMostTwice, collectGarbage, heapBytes, report, round, timed } from "../support/measurements.ts"
import { eventually } from "../support/waiting.ts"

const calls = 10_000
const ids = Array.from({ length: calls }, (_, id) => id)
/** Of each round of calls, how many there are and how many of them are interrupted. */
const [callsOfRound, interrupted] = [extent("CALLS", 4000, calls), 1000]
const rounds = extent("ROUNDS", 3, 5)
const idsOfRound = ids.slice(0, callsOfRound)

/** Handlers that wait for a gate and tell how they ended. */
const makeWaiting = () => {
  let gate = Deferred.makeUnsafe<void>()
  const started = new Set<number>()
  const stopped = new Set<number>()
  let [entered, left] = [0, 0]
  const route = HttpRouter.add(
    "POST",
    "/wait/:id",
    Effect.gen(function*() {
      const id = Number((yield* HttpRouter.params).id)
      const request = yield* HttpServerRequest.HttpServerRequest
      started.add(id)
      yield* Effect.onInterrupt(Deferred.await(gate), () => Effect.sync(() => stopped.add(id)))
      return HttpServerResponse.text(`${id} ${yield* request.text}`)
    }).pipe(
      Effect.onExit(() => Effect.sync(() => left++)),
      (handler) =>
        Effect.suspend(() => {
          entered++
          return handler
        })
    )
  )
  return {
    route,
    started,
    stopped,
    fibers: () => ({ entered, left }),
    open: Effect.suspend(() => Deferred.succeed(gate, undefined)),
    reset() {
      gate = Deferred.makeUnsafe()
      started.clear()
      stopped.clear()
    }
  }
}

const few: Limits.Options = fixedWindow
const many: Limits.Options = { maxConcurrentStreams: 20_000, ...fixedWindow }

for (const serving of ["server", "client"] as const) {
  describe(`simultaneous calls, API on the ${serving}`, () => {
    for (const limits of [few, many]) {
      it.live(`each of 10,000 calls ${limits === few ? "queued behind 100" : "in progress"} gets its own response`, (context) =>
        Effect.gen(function*() {
          const ends = yield* join({ serverLimits: limits, clientLimits: limits, ledgers: true })
          const { api, calling, serving: peer } = roles(ends, serving)
          const waiting = makeWaiting()
          yield* serveRoutes(peer, Layer.merge(waiting.route, bodyRoutes))
          const limit = limits === few ? 100 : calls
          const [answers, millis] = yield* timed(Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(Effect.forEach(
              ids,
              (id) =>
                Effect.flatMap(
                  api.post(`/wait/${id}`, { body: HttpBody.text(`body of ${id}`) }),
                  (response) => response.text
                ),
              { concurrency: "unbounded" }
            ))
            yield* eventually(() => assert.strictEqual(waiting.started.size, limit))
            assert.deepStrictEqual(yield* calling.active, { local: limit, remote: 0, waiting: calls - limit })
            assert.deepStrictEqual(yield* peer.active, { local: 0, remote: limit, waiting: 0 })
            yield* waiting.open
            return yield* Fiber.join(fiber)
          }))
          assert.deepStrictEqual(answers, ids.map((id) => `${id} body of ${id}`))
          yield* assertUsable(ends, serving)
          yield* assertIdle(ends)
          assert.deepStrictEqual(waiting.fibers(), { entered: calls, left: calls })
          const { framesSent, messagesSent } = yield* calling.statistics
          report(context, {
            millis: round(millis),
            callsPerSecond: round(calls / millis * 1000),
            framesSent,
            messagesSent
          })
        }))

      it.live(
        `nothing is left of ${callsOfRound} calls ${
          limits === few ? "queued behind 100" : "in progress"
        } when 1,000 are interrupted, ${rounds} times`,
        (context) =>
          atMostTwice(Effect.gen(function*() {
            const ends = yield* join({ serverLimits: limits, clientLimits: limits, ledgers: true })
            const { api, calling, serving: peer } = roles(ends, serving)
            const waiting = makeWaiting()
            yield* serveRoutes(peer, Layer.merge(waiting.route, bodyRoutes))
            const limit = limits === few ? 100 : callsOfRound
            const isVictim = (id: number) => id % (callsOfRound / interrupted) === 3

            const roundTrip = Effect.gen(function*() {
              waiting.reset()
              const before = waiting.fibers()
              const fibers = yield* Effect.forEach(idsOfRound, (id) =>
                Effect.forkChild(Effect.flatMap(
                  api.post(`/wait/${id}`, { body: HttpBody.text(`body of ${id}`) }),
                  (response) => response.text
                )))
              yield* eventually(() => assert.strictEqual(waiting.started.size, limit))
              const begun = new Set(waiting.started)
              yield* Fiber.interruptAll(fibers.filter((_, id) => isVictim(id)))
              const expected = idsOfRound.filter((id) => isVictim(id) && begun.has(id))
              yield* eventually(() => assert.strictEqual(waiting.stopped.size, expected.length))
              yield* waiting.open
              const answers = yield* Effect.forEach(fibers.filter((_, id) => !isVictim(id)), Fiber.join)
              assert.deepStrictEqual(
                answers,
                idsOfRound.filter((id) => !isVictim(id)).map((id) => `${id} body of ${id}`)
              )
              assert.deepStrictEqual([...waiting.stopped].sort((a, b) => a - b), expected)
              yield* assertUsable(ends, serving)
              yield* assertIdle(ends)
              const { entered, left } = waiting.fibers()
              assert.strictEqual(entered - before.entered, callsOfRound - interrupted + expected.length)
              assert.strictEqual(left, entered)
              return expected.length
            })

            const heap: Array<number> = []
            const times: Array<number> = []
            let handlers = 0
            for (let index = 0; index < rounds; index++) {
              const [count, millis] = yield* timed(roundTrip)
              handlers = count
              waiting.reset()
              times.push(round(millis))
              yield* collectGarbage
              heap.push(round(heapBytes() / MiB))
            }
            const { resetsSent } = yield* calling.statistics
            report(context, { handlersInterrupted: handlers, resetsSent, millis: times, heapMiB: heap })
            assert.strictEqual(resetsSent, rounds * handlers)
            // The first rounds compile code and fill caches.
            assert.isBelow(heap[rounds - 1]! - heap[1]!, 1, "the heap grows with each round")
          })),
        180_000
      )
    }
  })
}

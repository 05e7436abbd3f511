/**
 * Hundreds of clients that lose their links at once: they come back spread out, and give a server that is away time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { keepEvents } from "../support/events.ts"
import { extent } from "../support/extent.ts"
import { fork } from "../support/fork.ts"
import { atMostTwice, collectGarbage, report, round, watchLateness } from "../support/measurements.ts"
import { listen, whenAll } from "../support/proxied.ts"
import { eventually } from "../support/waiting.ts"
import type { Report } from "./children/herd.ts"

const count = extent("CLIENTS", 400, 1000)
/** Of the default `Reconnection`, in milliseconds. */
const [base, cap] = [500, 30_000]
/** In milliseconds. */
const window = 100

/** The most of `times` that lie within any window of `millis`. */
const densest = (times: ReadonlyArray<number>, millis: number): number => {
  let [most, first] = [0, 0]
  for (const [last, time] of times.entries()) {
    while (times[first]! <= time - millis) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

const perWindow = (times: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counts: Array<number> = []
  for (const time of times) {
    const index = Math.floor(time / window)
    while (counts.length <= index) counts.push(0)
    counts[index]!++
  }
  return counts
}

/** How probable it is that `attempts` delays of full jitter together take no longer than `millis`; at most 1. */
const probability = (attempts: number, millis: number): number => {
  let bound = 1
  for (let attempt = 1; attempt <= attempts; attempt++) {
    bound *= millis / attempt / Math.min(cap, base * 2 ** (attempt - 1))
  }
  return Math.min(1, bound)
}

const histogram = (numbers: ReadonlyArray<number>): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const number of numbers) counts[number] = (counts[number] ?? 0) + 1
  return counts
}

/** All clients behind the proxy; `lose` takes their links, and `back` waits until all have others. */
const gather = Effect.gen(function*() {
  const { hub, proxy } = yield* listen({})
  const child = yield* fork(new URL("children/herd.ts", import.meta.url), [proxy.url, String(count)])
  yield* child.hear("connected")
  yield* whenAll(hub, count)
  const ids = (yield* hub.connections).map(({ id }) => id).sort()
  const interrupted = new Set<string>()
  let allBack = Deferred.makeUnsafe<void>()
  const others = new Set<string>()
  // A subscriber first hears of those that are there. A handshake that was cut, or is one too many for the moment, is no harm.
  const harmless = new Set<string>(["ConnectionReceived", "ConnectionAttemptFailed", "QuotaExceeded"])
  yield* keepEvents(hub.events, (event) => {
    if (event._tag === "ConnectionInterrupted") interrupted.add(event.connectionId)
    else if (event._tag === "ConnectionResumed") {
      interrupted.delete(event.connectionId)
      if (interrupted.size === 0) Deferred.doneUnsafe(allBack, Effect.void)
    } else if (!harmless.has(event._tag)) others.add(event._tag)
  })
  return {
    proxy,
    lose: Effect.gen(function*() {
      yield* collectGarbage
      allBack = Deferred.makeUnsafe()
      const before = proxy.attempts.length
      const start = performance.now()
      yield* proxy.cut()
      yield* eventually(() => assert.strictEqual(interrupted.size, count))
      return { times: () => proxy.attempts.slice(before).map((time) => time - start) }
    }),
    back: Effect.gen(function*() {
      yield* Deferred.await(allBack)
      yield* child.tell({ type: "how" })
      const told = yield* child.hear<Report>("report")
      assert.deepStrictEqual((yield* hub.connections).map(({ id }) => id).sort(), ids)
      assert.isTrue(told.sameConnections)
      assert.deepStrictEqual(told.resumed, Array<number>(count).fill(1))
      assert.deepStrictEqual([...others, ...told.others], [])
      return told
    })
  }
})

describe("clients that lose their links together", () => {
  it.live(
    `${count} clients that lose their links together come back spread out, each to its connection`,
    (context) =>
      atMostTwice(Effect.gen(function*() {
        const { back, lose, proxy } = yield* gather
        const lateness = watchLateness()
        const { times } = yield* lose
        const { failedAttempts, lateMillis } = yield* back
        // What a process could not do while it was kept from running, it does all at once.
        const late = Math.max(lateness.stop().longest, lateMillis)
        const attempts = times()
        report(context, {
          perWindow: perWindow(attempts),
          densest: densest(attempts, window),
          lateMillis: late,
          backMillis: round(attempts.at(-1)!),
          failedAttempts: histogram(failedAttempts),
          links: proxy.links.length
        })
        assert.strictEqual(attempts.length, count + failedAttempts.reduce((sum, failed) => sum + failed, 0))
        assert.isAtMost(densest(attempts, window), 3 * count * (window + late) / base)
      })),
    240_000
  )

  it.live(
    `${count} clients of a server that is away wait longer and longer, and then come back`,
    (context) =>
      Effect.gen(function*() {
        const { back, lose, proxy } = yield* gather
        yield* proxy.refuse(true)
        const { times } = yield* lose
        yield* proxy.until(() => proxy.refused >= 2 * count)
        yield* proxy.refuse(false)
        const away = times().at(-1)!
        const { failedAttempts } = yield* back
        const attempts = times()
        const failed = failedAttempts.reduce((sum, failed) => sum + failed, 0)
        // A busy server turns some away when it is back.
        const millis = failed === proxy.refused ? away : attempts.at(-1)!
        // More than that happens in less than one of a million runs.
        let bound = 1
        while (count * probability(bound, millis) > 1e-6) bound++
        report(context, {
          awayMillis: round(away),
          perSecond: histogram(attempts.map((time) => Math.floor(time / 1000))),
          failedAttempts: histogram(failedAttempts),
          bound,
          backMillis: round(attempts.at(-1)!)
        })
        assert.strictEqual(attempts.length, count + failed)
        assert.isAtLeast(failed, proxy.refused)
        assert.isBelow(Math.max(...failedAttempts), bound)
        // Each has waited for half of the first and of the second delay, as many have for more as for less.
        assert.isAbove(away, base)
      }),
    240_000
  )
})

/**
 * A hub that gets twice the calls that it can serve, from many connections that don't wait for each other: it serves nearly as
 * many in time as it can, where without `callDelay` hardly any caller would still wait for its answer.
 *
 * `WHOLE=1 npx vitest run test/load/overload` takes two minutes, and a machine with nothing else to do.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { everyOther, extent, whole } from "../support/extent.ts"
import { fork } from "../support/fork.ts"
import { report, round } from "../support/measurements.ts"
import type { Listening } from "./children/busyHub.ts"
import type { Result, Run } from "./children/callers.ts"

const clients = 200
const overloadMillis = extent("OVERLOAD_MILLIS", 8000, 10_000)

/** The target of its calls, and whether the hub refuses some of them. */
const overloaded = Effect.fnUntraced(function*(target: string, sheds: boolean) {
  const quotas = sheds ? {} : { server: { callDelay: 1e9 } }
  const hub = yield* fork(new URL("children/busyHub.ts", import.meta.url), [JSON.stringify(quotas)])
  const { url } = yield* hub.hear<Listening>("listening")
  const callers = yield* fork(new URL("children/callers.ts", import.meta.url), [url, String(clients)])
  yield* callers.hear("connected")
  const run = (rate: number, millis: number, skip: number) =>
    Effect.andThen(
      callers.tell<Run>({ type: "run", target, rate, inFlight: 64, millis, skip, deadline: 1000 }),
      callers.hear<Result>("result")
    )
  // Code that runs for the first time is not what is measured.
  yield* run(0, 2000, 1000)
  const before = yield* run(0, 4000, 1000)
  const twice = yield* run(before.good * 2, overloadMillis, 4000)
  // What has been left by then is worked off.
  yield* run(1, 3000, 0)
  const after = yield* run(0, 4000, 1000)
  const peak = (before.good + after.good) / 2
  const { answers, good, offered, p50, p99 } = twice
  return { target, sheds, peak, offered, good, share: round(good / peak), answers, p50, p99 }
}, Effect.scoped)

/** A part of a run asks for what a busy machine can show as well: without `callDelay` the share is a tenth or less. */
const { kinds, least } = whole
  ? { kinds: [["/burn", false], ["/burn", true], ["/ask", false], ["/ask", true]] as const, least: 0.9 }
  : { kinds: everyOther([["/burn", true], ["/ask", true]] as const), least: 0.3 }

describe("twice the load", () => {
  it.live(`a hub serves at least ${least * 100} % of its peak, in time`, (context) =>
    Effect.gen(function*() {
      const measured = []
      for (const [target, sheds] of kinds) {
        let result = yield* overloaded(target, sheds)
        // Other processes may have had the machine for a moment.
        for (let again = sheds ? 0 : 2; again < 2 && result.share < least; again++) {
          result = yield* overloaded(target, sheds)
        }
        measured.push(result)
      }
      report(context, { measured })
      assert.deepStrictEqual(measured.filter(({ share, sheds }) => sheds && share < least), [])
    }), 300_000)
})

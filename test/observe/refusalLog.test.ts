/**
 * Refusals beyond the first ones of a second are counted in one line.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { RefusalLog } from "../../src/internal/observe/refusalLog.ts"

describe("log of refusals", () => {
  it.effect("the log has ten refusals a second, then one line that says how many more there were", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => lines.push([message].flat().join(" ")))])
      yield* Effect.gen(function*() {
        const context = yield* Effect.context<never>()
        const log = new RefusalLog("upgrades", (effect) => Effect.runForkWith(context)(effect))
        const refuse = (times: number) => Array.from({ length: times }, () => log.hasLine()).filter((has) => has).length
        assert.strictEqual(refuse(10_000), 10)
        yield* TestClock.adjust("999 millis")
        assert.strictEqual(refuse(1), 0)
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(lines, ["refused 9991 more upgrades within a second"])
        assert.strictEqual(refuse(3), 3)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(lines.length, 1)
      }).pipe(Effect.provide(logger))
    }))
})

/**
 * What metadata count as: about what they take in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { weightOf } from "../../src/internal/server/metadataWeight.ts"
import { collectGarbage } from "../support/measurements.ts"

const forms: Readonly<Record<string, unknown>> = {
  "empty objects": Array.from({ length: 21_000 }, () => ({})),
  "empty arrays": Array.from({ length: 21_000 }, () => []),
  "objects with a member": Array.from({ length: 10_000 }, () => ({ a: 1 })),
  "an object with many members": Object.fromEntries(Array.from({ length: 8000 }, (_, n) => [`${n.toString(36)}k`, 1])),
  "a long string": "x".repeat(65_000)
}

describe("metadata", () => {
  it("what honest devices say of themselves weighs little", () => {
    assert.isBelow(weightOf({ name: "pump 7", site: "A", tags: ["x", "y"], at: null }), 500)
  })

  for (const [name, value] of Object.entries(forms)) {
    it.live(`${name} weigh no less than they take, and at most three times as much`, () =>
      Effect.gen(function*() {
        const text = JSON.stringify(value)
        const kept: Array<unknown> = []
        yield* collectGarbage
        const before = process.memoryUsage().heapUsed
        for (let n = 0; n < 50; n++) kept.push(JSON.parse(text))
        yield* collectGarbage
        const taken = (process.memoryUsage().heapUsed - before) / kept.length
        const weight = weightOf(value)
        assert.isAbove(weight, 0.8 * taken)
        assert.isBelow(weight, 3 * taken)
      }))
  }
})

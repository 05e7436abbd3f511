/**
 * Both ends under a seeded scheduler, clock and network: what must be true of every run, for many seeds.
 */
import { assert, describe, it } from "@effect/vitest"
import { extent } from "../support/extent.ts"
import { planOf } from "./generator.ts"
import { runMany } from "./many.ts"
import { run } from "./run.ts"

const seeds = extent("SIMULATIONS", 200, 100_000)

/** Another part of all seeds in each run, unless the first one is given: `SIMULATION_SEED=7 SIMULATIONS=1` is seed 7. */
const first = Number(process.env.SIMULATION_SEED ?? Math.floor(Date.now() / 1000) % 1_000_000)

describe("simulation", () => {
  it("two runs of one seed are the same, to the byte", async () => {
    for (const seed of [1, 2, 3, first, first + 1]) {
      for (const wire of ["v1", "v2"] as const) {
        const plan = { ...planOf(seed), wire }
        const [one, other] = [await run(plan), await run(plan)]
        assert.deepStrictEqual(one, other)
        assert.isAbove(one.trace.length, 5)
      }
    }
    assert.notStrictEqual((await run(planOf(1))).digest, (await run({ ...planOf(1), seed: 2 })).digest)
  })

  it(`what must be true of every run is true of ${seeds} seeds from ${first} on`, async () => {
    assert.deepStrictEqual((await runMany(first, seeds, () => {})).failures, [])
  }, 3_600_000)
})

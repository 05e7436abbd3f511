/**
 * How many frames of each cheap kind a peer may send at once, and how many each second then.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { FloodLimits } from "../../src/internal/streams/floodLimits.ts"
import * as Limits from "../../src/Limits.ts"

const kinds = [
  { kind: "reset", burst: 150, perSecond: 70, reason: "too many streams were reset" },
  { kind: "emptyData", burst: 1000, perSecond: 200, reason: "too much DATA was empty" },
  { kind: "goAway", burst: 100, perSecond: 10, reason: "too many GOAWAYs" }
] as const

describe("flood limits", () => {
  for (const { burst, kind, perSecond, reason } of kinds) {
    it(`${kind}: ${burst} at once, then ${perSecond} a second, and a violation for one more`, () => {
      let now = 5000
      const limits = new FloodLimits(Limits.make({ resetBurst: 150, resetsPerSecond: 70 }), () => now)
      /** How many are allowed before the violation. */
      const allowed = () => {
        for (let count = 0;; count++) {
          const violation = limits[kind]()
          if (violation === undefined) continue
          assert.deepStrictEqual(violation, { code: ErrorCode.EXCESSIVE_LOAD, reason })
          return count
        }
      }
      const after = (millis: number) => {
        now += millis
        return allowed()
      }
      assert.strictEqual(allowed(), burst)
      assert.deepStrictEqual([after(0), after(1000), after(0), after(1000), after(2000)], [
        0,
        perSecond,
        0,
        perSecond,
        2 * perSecond
      ])
      assert.strictEqual(after(3_600_000), burst, "no more at once after a long pause")
    })
  }
})

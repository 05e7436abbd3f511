/**
 * How many frames of each cheap kind a peer may send at once, and how many each second then.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { FloodLimits } from "../../src/internal/streams/floodLimits.ts"
import * as Limits from "../../src/Limits.ts"

const kinds = [
  { kind: "reset", burst: 150, perSecond: 70 },
  { kind: "emptyData", burst: 1000, perSecond: 200 },
  { kind: "goAway", burst: 100, perSecond: 10 }
] as const

describe("flood limits", () => {
  for (const { burst, kind, perSecond } of kinds) {
    // PROTOCOL.md LIM-1
    it(`${kind}: ${burst} at once, then ${perSecond} a second, and a violation for one more`, () => {
      let now = 5000
      const limits = new FloodLimits(Limits.make({ resetBurst: 150, resetsPerSecond: 70 }), () => now)
      /** How many are allowed before the violation. */
      const allowed = () => {
        for (let count = 0;; count++) {
          const violation = limits[kind]()
          if (violation === undefined) continue
          assert.strictEqual(violation.code, ErrorCode.EXCESSIVE_LOAD)
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

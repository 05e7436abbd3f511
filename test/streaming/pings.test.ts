/**
 * Settings of pings that make no sense are told at once.
 */
import { assert, describe, it } from "@effect/vitest"
import { pingsOf } from "../../src/internal/streaming/heartbeat.ts"

describe("pings", () => {
  it("an interval or a timeout of 0 is a RangeError; pings are off without an interval", () => {
    assert.throws(() => pingsOf({ pingInterval: 0 }), RangeError, "pingInterval")
    assert.throws(() => pingsOf({ pingInterval: "1 second", pongTimeout: "0 seconds" }), RangeError, "pongTimeout")
    assert.isUndefined(pingsOf({ pongTimeout: 0 }))
  })
})

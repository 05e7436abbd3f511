/**
 * Receive windows: when credit is given back, and how windows grow.
 */
import { assert, describe, it } from "@effect/vitest"
import { ReceiveWindow, SendCredit } from "../../src/internal/streams/flowControl.ts"

/** A sender that always fills the window, a reader that always keeps up, and a round trip between them. */
const transfer = (
  options: { readonly window: number; readonly cap: number; readonly roundTrip: number; readonly trips: number }
) => {
  let now = 0
  const window = new ReceiveWindow(options.window, {
    cap: options.cap,
    now: () => now,
    roundTrip: () => options.roundTrip,
    mayGrow: () => true
  })
  const credit = new SendCredit(options.window)
  let received = 0
  for (let trip = 0; trip < options.trips; trip++) {
    const burst = credit.available
    credit.available = 0
    // Half of a burst at a time, as a reader takes it.
    for (const part of [Math.floor(burst / 2), Math.ceil(burst / 2)]) {
      assert.isTrue(window.receive(part))
      received += part
      credit.grow(window.grant(0))
    }
    now += options.roundTrip
  }
  return { received, size: window.size, millis: now }
}

describe("ReceiveWindow", () => {
  it("a receive window gives credit back in halves of the window, not byte by byte", () => {
    const window = new ReceiveWindow(1000, { cap: 1000, now: () => 0, roundTrip: () => undefined, mayGrow: () => true })
    assert.isTrue(window.receive(499))
    assert.strictEqual(window.grant(0), 0)
    assert.isTrue(window.receive(1))
    assert.strictEqual(window.grant(0), 500)
    assert.strictEqual(window.available, 1000)
  })

  it("a receive window gives no credit back for bytes that are still held", () => {
    const window = new ReceiveWindow(1000, { cap: 1000, now: () => 0, roundTrip: () => undefined, mayGrow: () => true })
    assert.isTrue(window.receive(1000))
    assert.strictEqual(window.grant(1000), 0)
    assert.strictEqual(window.grant(400), 600)
  })

  it("a receive window refuses more bytes than it granted", () => {
    const window = new ReceiveWindow(1000, { cap: 1000, now: () => 0, roundTrip: () => undefined, mayGrow: () => true })
    assert.isTrue(window.receive(1000))
    assert.isFalse(window.receive(1))
  })

  it("a receive window grows to the capacity of the path, 16 times the bytes of a fixed one, up to its cap", () => {
    const fixed = transfer({ window: 262144, cap: 262144, roundTrip: 100, trips: 40 })
    const grown = transfer({ window: 262144, cap: 16 * 262144, roundTrip: 100, trips: 40 })
    assert.strictEqual(fixed.size, 262144)
    assert.strictEqual(grown.size, 16 * 262144)
    assert.isAbove(grown.received, fixed.received * 8)
  })

  it("a receive window that is used slowly shrinks to where it began, and returns its part of a shared budget", () => {
    let now = 0
    let budget = 0
    const window = new ReceiveWindow(1000, {
      cap: 64_000,
      now: () => now,
      roundTrip: () => 10,
      mayGrow: (bytes) => {
        budget += bytes
        return true
      }
    })
    const use = (millis: number) => {
      now += millis
      assert.isTrue(window.receive(Math.ceil(window.size / 2)))
      const granted = window.grant(0)
      assert.isAtMost(window.available, window.size)
      return granted
    }
    for (let i = 0; i < 10; i++) use(1)
    assert.deepStrictEqual([window.size, budget], [64_000, 63_000])
    use(999)
    assert.strictEqual(window.size, 64_000, "a pause of less than a second")
    const sizes = Array.from({ length: 7 }, () => {
      use(1001)
      return window.size
    })
    assert.deepStrictEqual(sizes, [32_000, 16_000, 8000, 4000, 2000, 1000, 1000])
    assert.strictEqual(budget, 0)
    assert.isAbove(use(1), 0, "it still gives credit, and may grow again")
    assert.strictEqual(window.size, 2000)
  })

  it("a receive window does not grow where a shared budget is spent", () => {
    let now = 0
    const window = new ReceiveWindow(1000, { cap: 8000, now: () => now, roundTrip: () => 100, mayGrow: () => false })
    for (let i = 0; i < 10; i++) {
      now += 1
      assert.isTrue(window.receive(500))
      assert.strictEqual(window.grant(0), 500)
    }
    assert.strictEqual(window.size, 1000)
  })

  it("a receive window does not grow for a slow sender", () => {
    let now = 0
    const window = new ReceiveWindow(1000, { cap: 100_000, now: () => now, roundTrip: () => 10, mayGrow: () => true })
    for (let i = 0; i < 100; i++) {
      now += 30
      assert.isTrue(window.receive(500))
      window.grant(0)
    }
    assert.strictEqual(window.size, 1000)
  })
})

describe("SendCredit", () => {
  it("a send credit refuses to grow beyond 2^31-1", () => {
    const credit = new SendCredit(2147483647)
    assert.isFalse(credit.grow(1))
    assert.strictEqual(credit.available, 2147483647)
  })
})

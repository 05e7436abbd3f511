/**
 * Receive windows: when credit is given back, and how windows grow.
 */
import { assert, describe, it } from "@effect/vitest"
import { grant, type WindowTuning } from "../../src/internal/streams/flowControl.ts"

/** A window with its tuning, and a sender that keeps to it. */
class Window {
  size: number
  available: number
  lastGrant = -Infinity
  readonly #tuning: WindowTuning

  constructor(initial: number, tuning: Omit<WindowTuning, "initial">) {
    this.size = initial
    this.available = initial
    this.#tuning = { ...tuning, initial }
  }

  receive(bytes: number): void {
    assert.isAtMost(bytes, this.available)
    this.available -= bytes
  }

  grant(held: number, parts?: number): number {
    return grant(this, held, this.#tuning, parts)
  }
}

/** A sender that always fills the window, a reader that always keeps up, and a round trip between them. */
const transfer = (
  options: { readonly window: number; readonly cap: number; readonly roundTrip: number; readonly trips: number }
) => {
  let now = 0
  const window = new Window(options.window, {
    cap: options.cap,
    now: () => now,
    roundTrip: () => options.roundTrip,
    mayGrow: () => true
  })
  let credit = options.window
  let received = 0
  for (let trip = 0; trip < options.trips; trip++) {
    const burst = credit
    credit = 0
    // Half of a burst at a time, as a reader takes it.
    for (const part of [Math.floor(burst / 2), Math.ceil(burst / 2)]) {
      window.receive(part)
      received += part
      credit += window.grant(0)
    }
    now += options.roundTrip
  }
  return { received, size: window.size, millis: now }
}

/** A window of 1000 bytes; `after` takes and gives back half of it, or so many bytes, when some time has passed. */
const timed = (options: { readonly cap: number; readonly roundTrip: number | undefined }) => {
  const path = { now: 5000, roundTrip: options.roundTrip }
  const window = new Window(1000, {
    cap: options.cap,
    now: () => path.now,
    roundTrip: () => path.roundTrip,
    mayGrow: () => true
  })
  const after = (millis: number, bytes = Math.ceil(window.size / 2)): number => {
    path.now += millis
    window.receive(bytes)
    window.grant(0)
    return window.size
  }
  after(0)
  return { path, window, after }
}

describe("receive windows", () => {
  it("a receive window gives credit back in halves of the window, not byte by byte", () => {
    const window = new Window(1000, { cap: 1000, now: () => 0, roundTrip: () => undefined, mayGrow: () => true })
    window.receive(499)
    assert.strictEqual(window.grant(0), 0)
    window.receive(1)
    assert.strictEqual(window.grant(0), 500)
    assert.strictEqual(window.available, 1000)
  })

  it("a receive window gives no credit back for bytes that are still held", () => {
    const window = new Window(1000, { cap: 1000, now: () => 0, roundTrip: () => undefined, mayGrow: () => true })
    window.receive(1000)
    assert.strictEqual(window.grant(1000), 0)
    assert.strictEqual(window.grant(400), 600)
  })

  it("a receive window that is told of with another one gives back a quarter, and never takes back what the peer may send", () => {
    let now = 0
    const window = new Window(1000, { cap: 64_000, now: () => now, roundTrip: () => 10, mayGrow: () => true })
    window.receive(249)
    assert.strictEqual(window.grant(0, 4), 0)
    window.receive(1)
    assert.strictEqual(window.grant(0, 4), 250)
    for (let i = 0; i < 7; i++) {
      now += 1
      window.receive(window.size / 4)
      assert.isAbove(window.grant(0, 4), 0)
    }
    assert.strictEqual(window.size, 64_000)
    for (let i = 0; i < 40; i++) {
      now += 10_000
      const { available } = window
      window.receive(window.size / 4)
      const granted = window.grant(0, 4)
      assert.isAtLeast(granted, 0)
      assert.isAtLeast(window.available, available - window.size / 2)
      assert.isAtMost(window.available, window.size)
    }
    assert.isAtMost(window.size, 4000)
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
    const window = new Window(1000, {
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
      window.receive(Math.ceil(window.size / 2))
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

  it("a receive window grows when half of it lasts less than two round trips", () => {
    for (const millis of [5, 6, 19]) assert.strictEqual(timed({ cap: 8000, roundTrip: 10 }).after(millis), 2000)
    for (const millis of [20, 21]) assert.strictEqual(timed({ cap: 8000, roundTrip: 10 }).after(millis), 1000)
  })

  it("a receive window shrinks when half of it lasts a second, and 16 round trips", () => {
    for (const [roundTrip, least] of [[10, 1000], [62, 1000], [100, 1600]] as const) {
      const { after } = timed({ cap: 4000, roundTrip })
      after(1)
      assert.strictEqual(after(1), 4000)
      assert.strictEqual(after(least - 1), 4000)
      assert.strictEqual(after(least), 2000)
    }
  })

  it("a receive window shrinks to half of its size or to its first, however much is given back at once", () => {
    const { after, window } = timed({ cap: 1500, roundTrip: 10 })
    assert.strictEqual(after(1), 1500)
    assert.strictEqual(after(2000), 1000, "not below the first size")
    const other = timed({ cap: 4000, roundTrip: 10 })
    other.after(1)
    assert.strictEqual(other.after(1), 4000)
    assert.strictEqual(other.after(2000, 4000), 2000)
    assert.deepStrictEqual([window.available, other.window.available], [1000, 2000])
  })

  it("a receive window keeps its size while no round trip was measured", () => {
    const { after, path } = timed({ cap: 2000, roundTrip: 10 })
    assert.strictEqual(after(1), 2000)
    path.roundTrip = undefined
    for (const millis of [1, 100, 10_000]) assert.strictEqual(after(millis), 2000)
  })

  it("a receive window does not grow where a shared budget is spent", () => {
    let now = 0
    const window = new Window(1000, { cap: 8000, now: () => now, roundTrip: () => 100, mayGrow: () => false })
    for (let i = 0; i < 10; i++) {
      now += 1
      window.receive(500)
      assert.strictEqual(window.grant(0), 500)
    }
    assert.strictEqual(window.size, 1000)
  })

  it("a receive window does not grow for a slow sender", () => {
    let now = 0
    const window = new Window(1000, { cap: 100_000, now: () => now, roundTrip: () => 10, mayGrow: () => true })
    for (let i = 0; i < 100; i++) {
      now += 30
      window.receive(500)
      window.grant(0)
    }
    assert.strictEqual(window.size, 1000)
  })
})

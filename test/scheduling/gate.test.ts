/**
 * Gates: a fiber that waits for a condition is woken, whatever happens between its steps.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import { Gate } from "../../src/internal/scheduling/gate.ts"

describe("Gate", () => {
  it.effect("a gate does not suspend a fiber whose condition holds already", () =>
    Effect.gen(function*() {
      const gate = new Gate()
      yield* gate.until(() => true)
      assert.isFalse(gate.isAwaited)
    }))

  it.effect("a waiting fiber goes on at the notification with which its condition holds, and not before", () =>
    Effect.gen(function*() {
      const gate = new Gate()
      let value = 0
      let passed = false
      const fiber = yield* Effect.forkChild(
        Effect.andThen(gate.until(() => value >= 2), Effect.sync(() => passed = true)),
        { startImmediately: true }
      )
      for (const next of [1, 2]) {
        assert.isTrue(gate.isAwaited)
        value = next
        gate.notify()
        yield* Effect.yieldNow
        assert.strictEqual(passed, next === 2)
      }
      yield* Fiber.join(fiber)
      assert.isFalse(gate.isAwaited)
    }))

  it.effect("several fibers wait at one gate, each for its own condition", () =>
    Effect.gen(function*() {
      const gate = new Gate()
      let value = 0
      const passed: Array<number> = []
      yield* Effect.forEach([3, 1, 2], (least) =>
        Effect.forkChild(
          Effect.andThen(gate.until(() => value >= least), Effect.sync(() => passed.push(least))),
          { startImmediately: true }
        ))
      for (value = 1; value <= 3; value++) {
        gate.notify()
        yield* Effect.yieldNow
      }
      assert.deepStrictEqual(passed, [1, 2, 3])
    }))

  it.effect("an interrupted fiber is removed from its gate", () =>
    Effect.gen(function*() {
      const gate = new Gate()
      const fiber = yield* Effect.forkChild(gate.until(() => false), { startImmediately: true })
      assert.isTrue(gate.isAwaited)
      yield* Fiber.interrupt(fiber)
      assert.isFalse(gate.isAwaited)
    }))

  it.effect("a condition that throws is a defect of the fiber that waits for it; others at the gate go on", () =>
    Effect.gen(function*() {
      const gate = new Gate()
      let isOpen = false
      const fault = new Error("a fault of the condition")
      const conditions = [
        () => isOpen,
        () => {
          if (isOpen) throw fault
          return false
        },
        () => isOpen
      ]
      const [before, faulty, behind] = yield* Effect.forEach(
        conditions,
        (condition) => Effect.forkChild(Effect.exit(gate.until(condition)), { startImmediately: true })
      )
      isOpen = true
      gate.notify()
      assert.deepStrictEqual(yield* Fiber.join(before!), Exit.void)
      assert.deepStrictEqual(yield* Fiber.join(faulty!), Exit.die(fault))
      assert.deepStrictEqual(yield* Fiber.join(behind!), Exit.void)
      assert.isFalse(gate.isAwaited)
    }))

  for (const budget of [4, 5, 8, 13, 21]) {
    it.effect(`a fiber that yields after every ${budget} steps loses no notification`, () =>
      Effect.gen(function*() {
        const gate = new Gate()
        let produced = 0
        let consumed = 0
        const consumer = Effect.gen(function*() {
          while (consumed < 200) {
            yield* gate.until(() => produced > consumed)
            consumed = produced
          }
        })
        const producer = Effect.gen(function*() {
          while (produced < 200) {
            yield* Effect.yieldNow
            produced++
            gate.notify()
          }
        })
        yield* Effect.all([consumer, producer], { concurrency: 2 })
        assert.strictEqual(consumed, 200)
      }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, budget)))
  }
})

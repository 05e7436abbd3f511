/**
 * The fibers that are alive, so that a test can tell which of them belong to no scope.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

/** Fibers that have begun and not ended, each with the place that began it. */
const alive = new Map<Fiber.Fiber<unknown, unknown>, string>()

interface Evaluating extends Fiber.Fiber<unknown, unknown> {
  evaluate(effect: unknown): void
}

/** Effect tells nobody of fibers: all that run, whoever began them, go through this method. */
const watchFibers = Effect.acquireRelease(
  Effect.sync(() => {
    const prototype = Object.getPrototypeOf(Effect.runFork(Effect.void)) as Evaluating
    const { evaluate } = prototype
    const seen = new WeakSet<object>()
    prototype.evaluate = function(this: Evaluating, effect) {
      if (!seen.has(this)) {
        seen.add(this)
        alive.set(this, String(new Error().stack))
        this.addObserver(() => alive.delete(this))
      }
      evaluate.call(this, effect)
    }
    return () => {
      prototype.evaluate = evaluate
      alive.clear()
    }
  }),
  (restore) => Effect.sync(restore)
)

/**
 * Runs `begin` in a scope, closes that, and asserts that no fiber has outlived it. What `begin` answers runs before the
 * scope closes; the effect that this gives runs afterwards.
 */
export const leavesNoFiber = <E>(
  begin: Effect.Effect<Effect.Effect<Effect.Effect<unknown>>, E, Scope.Scope>
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    yield* watchFibers
    const scope = yield* Scope.make()
    // This fiber has begun before it could be seen. It is seen when it goes on.
    yield* Effect.yieldNow
    const before = new Set(alive.keys())
    const beforeClose = yield* Scope.provide(begin, scope)
    assert.isAbove(alive.size, before.size + 5, "the fibers are watched")
    const afterClose = yield* beforeClose
    yield* Scope.close(scope, Exit.void)
    yield* afterClose
    const left = [...alive].filter(([fiber]) => !before.has(fiber)).map(([, place]) => place)
    assert.deepStrictEqual(left, [])
  }).pipe(Effect.scoped)

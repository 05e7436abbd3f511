/**
 * What runs for each element of a changing list.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** Runs an effect for each element that a list gains, in a scope of its own, until the list loses it or the scope closes. @internal */
export const forEachNew = <A extends object, R>(
  lists: Stream.Stream<ReadonlyArray<A>>,
  run: (element: A) => Effect.Effect<void, never, R | Scope.Scope>
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const running = new Map<A, Fiber.Fiber<void>>()
    // At once: each may wait for calls that are in progress.
    const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
    const change = (list: ReadonlyArray<A>) =>
      Effect.gen(function*() {
        const there = new Set(list)
        for (const [element, fiber] of running) {
          if (there.has(element)) continue
          running.delete(element)
          fiber.interruptUnsafe()
        }
        for (const element of list) {
          if (running.has(element)) continue
          const effect = Effect.scoped(Effect.andThen(run(element), Effect.never)) as Effect.Effect<never, never, R>
          running.set(element, yield* Effect.forkIn(effect, scope, { startImmediately: true }))
        }
      })
    yield* Effect.forkScoped(Stream.runForEach(lists, change), { startImmediately: true })
  })

/**
 * Timers for code without a runtime: a callback runs after a delay, on a fiber of the owner's scope.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Calls `run` after `millis` milliseconds. Calling the result before cancels that. @internal */
export const delay = (
  fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
  millis: number,
  run: () => void
): () => void => {
  if (millis === Infinity) return () => {}
  const fiber = fork(Effect.andThen(Effect.sleep(millis), Effect.sync(run)))
  return () => fiber.interruptUnsafe()
}

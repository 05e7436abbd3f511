/**
 * Timers for the pure core: runs a callback after a delay, on a fiber of whoever owns it.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Runs something after so many milliseconds, unless the result is called before. @internal */
export const delay = (
  fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
  millis: number,
  run: () => void
): () => void => {
  if (millis === Infinity) return () => {}
  const fiber = fork(Effect.andThen(Effect.sleep(millis), Effect.sync(run)))
  return () => fiber.interruptUnsafe()
}

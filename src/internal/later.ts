/**
 * Time for what has no runtime.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import type * as Scope from "effect/Scope"

/** Runs something after so many milliseconds, unless the scope closes or the result is called before. @internal */
export const later =
  (context: Context.Context<never>, scope: Scope.Scope) => (millis: number, run: () => void): () => void => {
    if (millis === Infinity) return constVoid
    const fiber = Effect.runForkWith(context)(Effect.andThen(Effect.sleep(millis), Effect.sync(run)))
    Fiber.runIn(fiber, scope)
    return () => fiber.interruptUnsafe()
  }

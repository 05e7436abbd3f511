/**
 * Effects as tests of a runner that knows promises.
 */
import * as Effect from "effect/Effect"
import type { Runner } from "../../testing/Runner.ts"

/**
 * Registers an effect as a test. The effect is interrupted when the runner gives up the test, where the runner's context has a `signal` that says so:
 * Vitest's and that of `node:test` have one.
 */
export const registerEffect = (runner: Runner, title: string, effect: Effect.Effect<unknown, unknown>): void => {
  // Rest parameters: Jest and Mocha take a declared one for a callback.
  runner.it(title, async (...context) => {
    await Effect.runPromise(effect, { signal: (context[0] as { readonly signal?: AbortSignal } | undefined)?.signal })
  })
}

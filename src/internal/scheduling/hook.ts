/**
 * Runs the application's hooks for events of a peer. A peer can cause any number of events, so one hook runs at a time, and
 * only the newest event waits for it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/**
 * Makes a function that runs effects one after the other, on fibers made by `fork`. The log names them `name` when one fails.
 *
 * @internal
 */
export const make = (
  name: string,
  fork: (effect: Effect.Effect<void>) => void
): (effect: Effect.Effect<void>) => void => {
  let isRunning = false
  let newest: Effect.Effect<void> | undefined = undefined
  const runAll: Effect.Effect<void> = Effect.suspend(() => {
    const effect = newest
    newest = undefined
    isRunning = effect !== undefined
    return effect === undefined ? Effect.void : Effect.andThen(Effect.exit(logged(name, effect)), runAll)
  })
  return (effect) => {
    newest = effect
    if (isRunning) return
    isRunning = true
    fork(runAll)
  }
}

/** Logs the defect or failure of a hook. @internal */
export const logged = <R>(name: string, effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.tapCause(
    effect,
    (cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(`the hook ${name} failed`, cause)
  )

/** Logs what a task of the event loop throws: that would end the process, and nobody could catch it. @internal */
export const logDefect = (defect: unknown): void => {
  Effect.runFork(Effect.logError("a task of the event loop has failed", defect))
}

/** Runs what the event loop calls, and logs what it throws. @internal */
export const runLogged = (task: () => void): void => {
  try {
    task()
  } catch (defect) {
    logDefect(defect)
  }
}

/**
 * Hooks of the application for events that a peer causes, as many as it likes: they run one at a time, and of those that come
 * meanwhile the newest waits.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs effects on fibers made by `fork`; `name` is what the log calls them when one fails. @internal */
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

/** Logs what a hook dies of. @internal */
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

/**
 * Runs tasks at the end of the current turn of the event loop: all frames of a message have been handled by then.
 *
 * All tasks share one microtask. Node makes an async resource for each microtask, which cost a small call 3 % of its time.
 */
import { eventLoop } from "./eventLoop.ts"
import { logDefect } from "./hook.ts"

let waiting: Array<() => void> = []

const runAll = (): void => {
  const tasks = waiting
  waiting = []
  for (const task of tasks) {
    try {
      task()
    } catch (defect) {
      logDefect(defect)
    }
  }
}

/** Runs `task` at the end of this turn. An error that it throws is logged. @internal */
export const atEndOfTurn = (task: () => void): void => {
  if (waiting.push(task) === 1) eventLoop.requestMicrotask(runAll)
}

/**
 * What is to be done at the end of a turn of the event loop, when everything that one message has brought is known.
 *
 * One microtask for all: Node makes an async resource for each, which costs a small call 3 % of its time.
 */
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

/** A `task` that throws is logged. @internal */
export const atEndOfTurn = (task: () => void): void => {
  if (waiting.push(task) === 1) queueMicrotask(runAll)
}

/**
 * What is to be done at the end of a turn of the event loop, when everything that one message has brought is known.
 *
 * One microtask for all: Node makes an async resource for each, which costs a small call 3 % of its time.
 */
import * as Effect from "effect/Effect"

let waiting: Array<() => void> = []

const runAll = (): void => {
  const tasks = waiting
  waiting = []
  for (const task of tasks) {
    try {
      task()
    } catch (defect) {
      // Nobody could catch it here: it would end the process, and leave undone what others wait for.
      Effect.runFork(Effect.logError("a task at the end of a turn has failed", defect))
    }
  }
}

/** A `task` that throws is logged. @internal */
export const atEndOfTurn = (task: () => void): void => {
  if (waiting.push(task) === 1) queueMicrotask(runAll)
}

/**
 * Runs tasks at the end of the current turn of the event loop: all frames of a message have been handled by then. Links send last,
 * so that what the other tasks lead to leaves with it.
 *
 * All tasks share one microtask. Node makes an async resource for each microtask, which cost a small call 3 % of its time.
 */
import { eventLoop } from "./eventLoop.ts"
import { logDefect } from "./hook.ts"

type Task = () => void

let waiting: Array<Task> = []
let sends: Array<Task> = []
let isRequested = false

const run = (tasks: ReadonlyArray<Task>): void => {
  for (const task of tasks) {
    try {
      task()
    } catch (defect) {
      logDefect(defect)
    }
  }
}

const runAll = (): void => {
  const tasks = waiting
  waiting = []
  run(tasks)
  const due = sends
  sends = []
  isRequested = false
  if (waiting.length > 0) request()
  run(due)
}

const request = (): void => {
  if (isRequested) return
  isRequested = true
  eventLoop.requestMicrotask(runAll)
}

/** Runs `task` at the end of this turn. An error that it throws is logged. @internal */
export const atEndOfTurn = (task: Task): void => {
  waiting.push(task)
  request()
}

/** As `atEndOfTurn`, behind the tasks that were to run there. @internal */
export const sendAtEndOfTurn = (task: Task): void => {
  sends.push(task)
  request()
}

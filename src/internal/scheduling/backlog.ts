/**
 * Very many steps of one kind, such as the ends of all connections that are idle. They run for as long as a turn of the event loop has
 * time for links, and what comes meanwhile has its turns between them: steps that wait for turns of their own (`inTurn`) would all be
 * before it.
 */
import { runLogged } from "./hook.ts"
import { isTurnOverAtStep, nextTurn } from "./turn.ts"

/** @internal */
export class Backlog {
  #steps: Array<() => void> = []
  #next = 0
  #isBusy = false

  /** Runs a step, now or later. An error that it throws is logged. */
  readonly add = (step: () => void): void => {
    this.#steps.push(step)
    if (!this.#isBusy) this.#run()
  }

  readonly #run = (): void => {
    this.#isBusy = true
    while (this.#next < this.#steps.length) {
      if (isTurnOverAtStep()) return nextTurn(this.#run)
      runLogged(this.#steps[this.#next++]!)
    }
    this.#isBusy = false
    this.#steps = []
    this.#next = 0
  }
}

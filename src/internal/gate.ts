/**
 * Waiting for a condition that other code makes true.
 *
 * A fiber that first asks "is it so?" and then, in a second step, says "wake me" may be suspended between the two: Effect's
 * run loop yields after a number of steps. What happens in between would wake nobody, and the fiber would wait for ever. A
 * gate does both in one step, and so do all waiters of this package.
 */
import * as Effect from "effect/Effect"

/** @internal */
export class Gate {
  #waiting: Array<() => void> = []

  /** Whether a fiber waits now. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0
  }

  /** Something has changed: fibers whose condition holds now go on. Costs nothing while nobody waits. */
  notify(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const check of waiting) check()
  }

  /**
   * Waits until the condition holds, which is asked now and at each `notify`. Other fibers may run before this one goes on,
   * so that the condition may no longer hold by then where several fibers share what it speaks of.
   */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const check = () => {
        if (holds()) resume(Effect.void)
        else this.#waiting.push(check)
      }
      this.#waiting.push(check)
      return Effect.sync(() => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== check)
      })
    })
  }
}

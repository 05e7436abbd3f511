/**
 * Waiting for a condition that other code makes true.
 *
 * A fiber that first asks "is it so?" and then, in a second step, says "wake me" may be suspended between the two: Effect's
 * run loop yields after a number of steps. What happens in between would wake nobody, and the fiber would wait for ever. A
 * gate does both in one step, and so do all waiters of this package. Effect's `Latch` keeps them apart.
 */
import * as Effect from "effect/Effect"

/** @internal */
export class Gate {
  /** The waiting fibers' conditions. The first fiber that has to wait makes the array. */
  #waiting: Array<() => void> | undefined
  /** Whether a fiber waits now. A field, so that the many who ask call nothing. */
  isAwaited = false

  /**
   * Checks the conditions of all waiting fibers, and resumes those whose condition holds. Costs nothing while no fiber waits.
   */
  notify(): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.isAwaited = false
    for (const check of waiting) check()
  }

  /**
   * Waits until `holds` answers true. It is called now, and at each `notify`. What it throws is a defect of the fiber that
   * waits; it neither reaches who notifies nor keeps the other fibers waiting.
   *
   * Other fibers may run before the waiting fiber goes on. Where several fibers change the same state, the condition may be
   * false again by then.
   */
  until(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (holds()) return resume(Effect.void)
      const check = () => {
        try {
          if (holds()) resume(Effect.void)
          else this.#add(check)
        } catch (defect) {
          resume(Effect.die(defect))
        }
      }
      this.#add(check)
      return Effect.sync(() => this.#remove(check))
    })
  }

  #add(check: () => void): void {
    this.isAwaited = true
    if (this.#waiting === undefined) this.#waiting = [check]
    else this.#waiting.push(check)
  }

  #remove(check: () => void): void {
    const left = this.#waiting?.filter((waiting) => waiting !== check)
    this.#waiting = left === undefined || left.length === 0 ? undefined : left
    this.isAwaited = this.#waiting !== undefined
  }
}

/**
 * Limits the log lines about refused peers: ten a second, and then one line that says how many more were refused. Any stranger
 * can be refused thousands of times a second, and a line costs more than the refusal.
 */
import * as Effect from "effect/Effect"

/** Lines a second. A guess: further lines would say the same as the first ones. */
const maxLines = 10

/** @internal */
export class RefusalLog {
  readonly #what: string
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  #lines = 0
  #more = 0

  /** `what` is refused, in the plural. `fork` starts the fiber that waits for the end of the second. */
  constructor(what: "upgrades" | "clients" | "requests", fork: (effect: Effect.Effect<void>) => unknown) {
    this.#what = what
    this.#fork = fork
  }

  /** True if this refusal may have a log line. Otherwise it is counted. */
  hasLine(): boolean {
    if (this.#lines === 0) this.#fork(Effect.andThen(Effect.sleep("1 second"), this.#next))
    if (this.#lines < maxLines) {
      this.#lines++
      return true
    }
    this.#more++
    return false
  }

  /** Runs at the end of a second: logs how many refusals had no line. */
  readonly #next: Effect.Effect<void> = Effect.suspend(() => {
    const more = this.#more
    this.#lines = 0
    this.#more = 0
    return more === 0 ? Effect.void : Effect.logWarning(`refused ${more} more ${this.#what} within a second`)
  })
}

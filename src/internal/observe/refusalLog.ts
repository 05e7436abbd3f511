/**
 * What the log says of peers that are refused: some lines, and then how many more there were. Anybody can be refused thousands
 * of times a second, and each line costs more than the refusal.
 */
import * as Effect from "effect/Effect"

/** In a second. A guess: more say little that the first ones did not. */
const maxLines = 10

/** @internal */
export class RefusalLog {
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  #lines = 0
  #more = 0

  /** `fork` starts the fibers that wait for a second to be over. */
  constructor(fork: (effect: Effect.Effect<void>) => unknown) {
    this.#fork = fork
  }

  /** Whether a refusal gets a line; otherwise it is counted. */
  hasLine(): boolean {
    if (this.#lines === 0) this.#fork(Effect.andThen(Effect.sleep("1 second"), this.#next))
    if (this.#lines < maxLines) {
      this.#lines++
      return true
    }
    this.#more++
    return false
  }

  /** Another second begins. */
  readonly #next: Effect.Effect<void> = Effect.suspend(() => {
    const more = this.#more
    this.#lines = 0
    this.#more = 0
    return more === 0 ? Effect.void : Effect.logWarning(`refused ${more} more upgrades within a second`)
  })
}

/**
 * Waiting until nothing is left on a connection: no stream, and no message that the peer has not received.
 */
import * as Effect from "effect/Effect"
import type { Multiplexed } from "../Multiplexer.ts"
import type { Session } from "./session/session.ts"
import { nothing } from "./streams/stream.ts"

/** @internal */
export class Settling {
  readonly #mux: Multiplexed
  readonly #session: Session | undefined
  #waiting: Array<() => void> = []

  constructor(mux: Multiplexed, session: Session | undefined) {
    this.#mux = mux
    this.#session = session
  }

  /** Looks whether it is so, now that something has changed. */
  check(): void {
    if (this.#waiting.length === 0) return
    const { local, remote, waiting } = this.#mux.active
    if (local + remote + waiting > 0) return
    // Asks for an ACK.
    if (this.#session !== undefined && this.#session.unacknowledged > 0) return this.#mux.ping(nothing)
    for (const done of this.#waiting) done()
  }

  /** When what is queued in this turn has been sent: the last stream closes before its last message leaves. */
  checkLater(): void {
    if (this.#waiting.length > 0) queueMicrotask(() => this.check())
  }

  get settled(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const done = () => resume(Effect.void)
      this.#waiting.push(done)
      this.checkLater()
      return Effect.sync(() => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== done)
      })
    })
  }
}

/**
 * Waiting until nothing is left on a connection: no stream, and no message that the peer has not received.
 */
import * as Effect from "effect/Effect"
import type { Multiplexed } from "../Multiplexer.ts"
import type { Session } from "./session/session.ts"

const noData = new Uint8Array(0)

/** @internal */
export class Settling {
  readonly #mux: Multiplexed
  readonly #session: Session | undefined
  readonly #waiting = new Set<() => void>()

  constructor(mux: Multiplexed, session: Session | undefined) {
    this.#mux = mux
    this.#session = session
  }

  /** Looks whether it is so, now that something has changed. */
  readonly check = (): void => {
    if (this.#waiting.size === 0) return
    const { local, remote, waiting } = this.#mux.active
    if (local + remote + waiting > 0) return
    // Asks for an ACK.
    if (this.#session !== undefined && this.#session.unacknowledged > 0) return this.#mux.ping(noData)
    for (const done of this.#waiting) done()
  }

  /** When what is queued in this turn has been sent: the last stream closes before its last message leaves. */
  checkLater(): void {
    if (this.#waiting.size > 0) queueMicrotask(this.check)
  }

  readonly settled: Effect.Effect<void> = Effect.callback((resume) => {
    const done = () => resume(Effect.void)
    this.#waiting.add(done)
    this.checkLater()
    return Effect.sync(() => this.#waiting.delete(done))
  })
}

/**
 * Waiting until nothing is left on a connection: no stream, and no message that the peer has not received.
 */
import * as Effect from "effect/Effect"
import type { Multiplexed } from "../Multiplexer.ts"
import { Gate } from "./gate.ts"
import { question, type Session } from "./session/session.ts"

/** @internal */
export class Settling {
  readonly #mux: Multiplexed
  readonly #session: Session | undefined
  readonly #gate = new Gate()

  constructor(mux: Multiplexed, session: Session | undefined) {
    this.#mux = mux
    this.#session = session
  }

  /** Something has changed that may have been the last. */
  check(): void {
    this.#gate.notify()
  }

  /** When what is queued in this turn has been sent: the last stream closes before its last message leaves. */
  checkLater(): void {
    if (this.#gate.isAwaited) queueMicrotask(() => this.check())
  }

  get settled(): Effect.Effect<void> {
    return Effect.suspend(() => {
      let hasSent = false
      queueMicrotask(() => {
        hasSent = true
        this.check()
      })
      return this.#gate.until(() => hasSent && this.#isSettled())
    })
  }

  #isSettled(): boolean {
    const { local, remote, waiting } = this.#mux.active
    if (local + remote + waiting > 0) return false
    if (this.#session === undefined || this.#session.unacknowledged === 0) return true
    // Asks for an ACK.
    this.#mux.ping(question)
    return false
  }
}

/**
 * Clients that dial at once take turns: what each of them costs counts for the time that links may be busy in one turn of the
 * event loop.
 */
import * as Effect from "effect/Effect"
import { awaitTurn, isTurnOver } from "../scheduling/turn.ts"

/**
 * Of an upgrade, or a message of a handshake, in bytes of traffic: enough for the clock to be looked at each time. Each takes
 * 0.2 to 0.9 ms, more in a process that has just started (200 at once, Node 20).
 */
const cost = 16 * 1024

const count = Effect.sync(() => void isTurnOver(cost))

/** Goes on at once, or in the order of arrival once links have been busy for long enough in this turn. @internal */
export const handshakeTurn: Effect.Effect<void> = Effect.suspend(() =>
  isTurnOver(cost) ? Effect.andThen(awaitTurn, count) : Effect.void
)

/** Upgrades of a server that wait for their turn, in the order of arrival. @internal */
export class UpgradeLine {
  #waiting = 0
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get isFull(): boolean {
    return this.#waiting >= this.#most
  }

  /** An upgrade whose socket is lost meanwhile is interrupted, and leaves. */
  readonly turn: Effect.Effect<void> = Effect.acquireUseRelease(
    Effect.sync(() => this.#waiting++),
    () => handshakeTurn,
    () => Effect.sync(() => this.#waiting--)
  )
}

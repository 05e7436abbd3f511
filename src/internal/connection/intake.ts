/**
 * Takes messages of the peer into the multiplexer, and counts them for the session (PROTOCOL.md, "Counting").
 */
import * as Effect from "effect/Effect"
import type { Violation } from "../frame/codes.ts"
import { awaitTurn } from "../scheduling/turn.ts"
import { isLinkMessage, type Session } from "../session/session.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"

/** @internal */
export class Intake {
  readonly #mux: Multiplexed
  readonly #session: Session | undefined
  readonly #onAckDue: () => void
  /** The message of which only a part was taken. */
  #begun: Uint8Array | string | undefined

  constructor(mux: Multiplexed, session: Session | undefined, onAckDue: () => void) {
    this.#mux = mux
    this.#session = session
    this.#onAckDue = onAckDue
  }

  /** Takes a message, or its beginning if the turn of the event loop is over before its end. */
  receive(message: Uint8Array | string): Violation | undefined {
    return this.#received(message, this.#mux.receive(message))
  }

  /** Goes on with a message of which a part was taken, until the turn of the event loop is over. */
  receiveRest(): Violation | undefined {
    const message = this.#begun
    return message === undefined ? undefined : this.#received(message, this.#mux.receiveRest?.())
  }

  /**
   * Acts on the rest of a message whose link is lost, a part a turn, unless the connection ends: else the session would not count
   * it, and the peer would send it again. Answers what is wrong with it.
   */
  finish(isEnding: () => boolean): Effect.Effect<Violation | undefined> {
    return Effect.suspend(() => {
      if (this.#begun === undefined || isEnding()) return Effect.undefined
      const violation = this.receiveRest()
      return violation === undefined ? Effect.andThen(awaitTurn, this.finish(isEnding)) : Effect.succeed(violation)
    })
  }

  /** Waits until `finish` has ended. */
  untilFinished(isEnding: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.#begun === undefined || isEnding() ? Effect.void : Effect.andThen(awaitTurn, this.untilFinished(isEnding))
    )
  }

  /** The session counts a message once all of it was acted on: the peer may forget it then. */
  #received(message: Uint8Array | string, violation: Violation | undefined): Violation | undefined {
    this.#begun = undefined
    if (violation !== undefined) return violation
    if (this.#mux.isReceiving === true) {
      this.#begun = message
    } else if (
      this.#session !== undefined && !isLinkMessage(message as Uint8Array) && this.#session.receive(message.length)
    ) {
      this.#onAckDue()
    }
    return undefined
  }
}

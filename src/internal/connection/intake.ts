/**
 * Takes messages of the peer into the multiplexer, and counts them for the session (PROTOCOL.md, "Counting").
 */
import type { Violation } from "../frame/codes.ts"
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

  /** Only a part of a message was taken. */
  get hasBegun(): boolean {
    return this.#begun !== undefined
  }

  /** Goes on with a message of which a part was taken, until the turn of the event loop is over. */
  receiveRest(): Violation | undefined {
    const message = this.#begun
    return message === undefined ? undefined : this.#received(message, this.#mux.receiveRest?.())
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

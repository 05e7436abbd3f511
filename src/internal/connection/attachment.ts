/**
 * A link, as a connection gets it from a handshake.
 *
 * Fibers that wait for the end of a connection keep what they have begun with, its first link among it. So a link that is
 * released is let go of here: the sockets of a lost one took 20 KiB at each end, for as long as its connection lived (measured).
 */
import * as Effect from "effect/Effect"
import type { Link } from "../link/link.ts"

/** @internal */
export class Attachment {
  /** Measured by the handshake, in milliseconds. */
  readonly roundTrip: number
  /** How many counted messages of this end the peer has received. */
  readonly received: number
  #link: Link | undefined
  readonly #close: Effect.Effect<void>

  /** `close` closes what belongs to the link. */
  constructor(link: Link, close: Effect.Effect<void>, roundTrip: number, received: number) {
    this.#link = link
    this.#close = close
    this.roundTrip = roundTrip
    this.received = received
  }

  /** There until it is released. */
  get link(): Link {
    return this.#link!
  }

  /** Closes what belongs to the link: to be run once the connection does not use it any more. */
  get release(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#link = undefined
      return this.#close
    })
  }
}

/**
 * Credit, in bytes of DATA, per stream and per connection (PROTOCOL.md, "Flow control"; RFC 9113 section 5.2).
 */

/** Beyond this a credit is an error of the peer. */
const maxCredit = 2147483647

/** What this end may still send. @internal */
export class SendCredit {
  available: number

  constructor(initial: number) {
    this.available = initial
  }

  /** `false`: the peer granted more than the protocol allows. */
  grow(increment: number): boolean {
    if (this.available + increment > maxCredit) return false
    this.available += increment
    return true
  }
}

/** @internal */
export interface WindowTuning {
  /** The window doubles up to this. */
  readonly cap: number
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** Round-trip time in milliseconds, once one was measured. */
  readonly roundTrip: () => number | undefined
  /** Asks for so many more bytes of window; windows that share a budget may be refused. */
  readonly mayGrow: (bytes: number) => boolean
}

/**
 * What the peer may still send, and when to let it send more.
 *
 * Credit is given back in halves of the window: smaller grants would cost a frame each for no gain. A window whose
 * half is used up within two round trips is what limits the sender, so it doubles.
 *
 * @internal
 */
export class ReceiveWindow {
  size: number
  available: number
  readonly #tuning: WindowTuning
  #lastGrant: number | undefined = undefined

  constructor(initial: number, tuning: WindowTuning) {
    this.size = initial
    this.available = initial
    this.#tuning = tuning
  }

  /** `false`: the peer sent more than it had credit for. */
  receive(bytes: number): boolean {
    if (bytes > this.available) return false
    this.available -= bytes
    return true
  }

  /** The increment to announce now, or 0. `held`: bytes received that still occupy memory. */
  grant(held: number): number {
    let credit = this.size - this.available - held
    if (credit <= 0 || credit * 2 < this.size) return 0
    const now = this.#tuning.now()
    const roundTrip = this.#tuning.roundTrip()
    const since = this.#lastGrant === undefined ? Infinity : now - this.#lastGrant
    if (roundTrip !== undefined && this.size < this.#tuning.cap && since < roundTrip * 2) {
      const growth = Math.min(this.size, this.#tuning.cap - this.size)
      if (this.#tuning.mayGrow(growth)) {
        credit += growth
        this.size += growth
      }
    }
    this.#lastGrant = now
    this.available += credit
    return credit
  }
}

/** For streams that know no credit. @internal */
export const noWindow: ReceiveWindow = new ReceiveWindow(0, {
  cap: 0,
  now: () => 0,
  roundTrip: () => undefined,
  mayGrow: () => false
})

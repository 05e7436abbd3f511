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
  /** The round-trip time that a window of so many bytes is to cover, in milliseconds, once one was measured. */
  readonly roundTrip: (window: number) => number | undefined
  /** Asks for so many more bytes of window, or gives some back; windows that share a budget may be refused. */
  readonly mayGrow: (bytes: number) => boolean
}

/** A half of a window that lasts longer than this, in round trips and in milliseconds, shows that less would do. */
const slow = { roundTrips: 16, millis: 1000 }

/**
 * What the peer may still send, and when to let it send more.
 *
 * Credit is given back in halves of the window: smaller grants would cost a frame each for no gain. A window whose
 * half is used up within two round trips is what limits the sender, so it doubles. One that has grown and is used slowly
 * halves again.
 *
 * @internal
 */
export class ReceiveWindow {
  size: number
  available: number
  readonly #initial: number
  readonly #tuning: WindowTuning
  #lastGrant: number | undefined = undefined

  constructor(initial: number, tuning: WindowTuning) {
    this.size = initial
    this.available = initial
    this.#initial = initial
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
    const roundTrip = this.#tuning.roundTrip(this.size)
    const since = this.#lastGrant === undefined ? Infinity : now - this.#lastGrant
    const change = roundTrip === undefined ? 0 : this.#change(since, roundTrip, credit)
    credit += change
    this.size += change
    this.#lastGrant = now
    this.available += credit
    return credit
  }

  #change(since: number, roundTrip: number, credit: number): number {
    if (since < roundTrip * 2) {
      const growth = Math.min(this.size, this.#tuning.cap - this.size)
      return growth > 0 && this.#tuning.mayGrow(growth) ? growth : 0
    }
    if (this.size === this.#initial || since < Math.max(roundTrip * slow.roundTrips, slow.millis)) return 0
    // What the peer may send already can't be taken back.
    const shrinkage = Math.min(this.size - Math.max(this.#initial, Math.ceil(this.size / 2)), credit)
    this.#tuning.mayGrow(-shrinkage)
    return -shrinkage
  }
}

/** For streams that know no credit. @internal */
export const noWindow: ReceiveWindow = /* @__PURE__ */ new ReceiveWindow(0, {
  cap: 0,
  now: () => 0,
  roundTrip: () => undefined,
  mayGrow: () => false
})

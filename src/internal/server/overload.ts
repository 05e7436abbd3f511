/**
 * Finds out that a server has more calls than time, and which of them to refuse, so that it has time for the others. All links
 * of a process share its turns: what waits for its turn for longer and longer would be answered when nobody waits for it any
 * more.
 */
import type { Holder } from "../quota/holder.ts"
import type { Party } from "../quota/party.ts"
import { eventLoop } from "../scheduling/eventLoop.ts"
import { isBehindSince, waitedFor } from "../scheduling/turn.ts"

/**
 * There must have been too little time for so long, in milliseconds: a burst of calls is worked off by then, and so is what waits
 * behind a handler that takes long. Once calls were refused, that holds for as long again. A guess.
 */
const lasting = 1000

/** @internal */
export interface LatenessOfLinks {
  readonly isBehindSince: () => number | undefined
  readonly waitedFor: () => number
  readonly now: () => number
}

const ofProcess: LatenessOfLinks = { isBehindSince, waitedFor, now: () => eventLoop.now() }

/** @internal */
export class Overload {
  readonly #server: Holder
  readonly #maxDelay: number
  readonly #lateness: LatenessOfLinks
  /** Until when calls are refused although everybody had time of late. */
  #until = -Infinity
  /** Calls served while others are refused, by who has made them, since a moment not longer ago than `lasting`. */
  readonly #served = new Map<Holder, number>()
  #count = 0
  #countedSince = 0
  /** Whose the last call was, and whether there were others. */
  #last: Party | undefined = undefined
  #isShared = false

  constructor(server: Holder, lateness: LatenessOfLinks = ofProcess) {
    this.#server = server
    this.#maxDelay = server.quota("callDelay")
    this.#lateness = lateness
  }

  /** Whether a call that has arrived is to be refused. */
  refuses(party: Party): boolean {
    const { isBehindSince, now } = this.#lateness
    const behindSince = isBehindSince()
    if (behindSince === undefined && this.#until === -Infinity) return false
    const at = now()
    if (at >= this.#until && (behindSince === undefined || at - behindSince < lasting)) {
      this.#until = -Infinity
      return false
    }
    return this.#isTooLate(party, at)
  }

  #isTooLate(party: Party, at: number): boolean {
    if (at - this.#countedSince > lasting) {
      this.#countedSince = at
      this.#served.clear()
      this.#count = 0
      this.#last = party
      this.#isShared = false
    }
    // A connection that is alone takes the time of nobody else, and may have as many calls as its limits allow.
    if (party !== (this.#last ??= party)) this.#isShared = true
    const { payer } = party
    const own = payer === undefined ? 0 : this.#served.get(payer) ?? 0
    const waited = this.#lateness.waitedFor()
    // Who was served less than half of what others were goes on being served, but for calls that nobody may wait for any more.
    const isModest = 2 * own * this.#served.size < this.#count && waited < 2 * this.#maxDelay
    if (waited > this.#maxDelay && this.#isShared && !isModest) {
      this.#until = at + lasting
      party.tell({ quota: "callDelay", holder: this.#server })
      return true
    }
    this.#count++
    if (payer !== undefined) this.#served.set(payer, own + 1)
    return false
  }
}

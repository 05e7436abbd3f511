/**
 * Things that are counted, and of which one is ended where a server has too many: one of whoever has the most.
 */
import type { Holder, Resource } from "./holder.ts"
import type { Exceeded, Party } from "./party.ts"

/** A connection, or a call with a WebSocket of its own. @internal */
export interface Held {
  /** Ends it. */
  readonly overload: (reason: string) => void
}

const gaveWay = "the server has too many of these, and this client has the most"

/** @internal */
export class HeldThings<A extends Held> {
  readonly #resource: Resource
  /** The oldest of each holder first. */
  readonly #byPayer = new Map<Holder, Set<A>>()
  /** What ends the counting of each. */
  readonly #releases = new Map<A, () => void>()

  constructor(resource: Resource) {
    this.#resource = resource
  }

  /** Answers why there is no room for another one; else there is, if need be that of another holder's. */
  refusal(party: Party): Exceeded | undefined {
    const exceeded = party.refusal(this.#resource)
    return exceeded?.holder.kind === "server" && this.#makeRoom(party) ? undefined : exceeded
  }

  /** Counts one. */
  add(held: A, party: Party): void {
    const { payer } = party
    party.add(this.#resource)
    const all = payer && (this.#byPayer.get(payer) ?? new Set())
    if (payer !== undefined) this.#byPayer.set(payer, all!.add(held))
    this.#releases.set(held, () => {
      party.release(this.#resource)
      all?.delete(held)
      if (all?.size === 0) this.#byPayer.delete(payer!)
    })
  }

  /** It has ended. */
  delete(held: A): void {
    const release = this.#releases.get(held)
    this.#releases.delete(held)
    release?.()
  }

  /**
   * Ends one of the holder that has the most, the newest: of a holder's clients it has the least to lose. Only for a client of
   * one that has fewer even with another one: otherwise two holders would take turns.
   */
  #makeRoom({ payer }: Party): boolean {
    let largest: ReadonlySet<A> = new Set()
    for (const all of this.#byPayer.values()) if (all.size > largest.size) largest = all
    const own = payer === undefined ? 0 : this.#byPayer.get(payer)?.size ?? 0
    if (largest.size <= own + 1) return false
    const newest = [...largest].at(-1)!
    // At once: until it has ended others would come.
    this.delete(newest)
    newest.overload(gaveWay)
    return true
  }
}

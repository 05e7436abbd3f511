/**
 * Things that are counted, and of which one is ended where a server has too many: one of whoever has the most.
 */
import type { Holder } from "./holder.ts"
import type { Exceeded, Party } from "./party.ts"
import type { Evictor, Part, ProcessTotals } from "./processTotals.ts"

/** What is counted here. */
type Resource = "connections" | "streamingWebSockets"

/** A connection, or a call with a WebSocket of its own. @internal */
export interface Held {
  /** Ends it. */
  readonly overload: (reason: string) => void
}

const gaveWay = "the server has too many of these, and this client has the most"

/** @internal */
export class HeldThings<A extends Held> implements Part {
  readonly #resource: Resource
  readonly #process: ProcessTotals
  /** The oldest of each holder first. */
  readonly #byPayer = new Map<Holder, Set<A>>()
  /** What ends the counting of each. */
  readonly #releases = new Map<A, () => void>()

  constructor(resource: Resource, process: ProcessTotals) {
    this.#resource = resource
    this.#process = process
  }

  /** Answers why there is no room for another one; else there is, if need be that of another holder's. */
  refusal(party: Party): Exceeded | undefined {
    const exceeded = party.refusal(this.#resource)
    if (exceeded === undefined) return undefined
    const { kind } = exceeded.holder
    // Only for a client of one that has fewer even with another one: otherwise two holders would take turns.
    const least = 1 + (party.payer === undefined ? 0 : this.#byPayer.get(party.payer)?.size ?? 0)
    if (kind === "process") return this.#process.makeRoom("connections", least) ? undefined : exceeded
    if (kind !== "server") return exceeded
    const evictor = this.evictor()
    if (evictor.most <= least) return exceeded
    evictor.giveUp(exceeded.holder)
    return undefined
  }

  /** Ends the newest of whoever has the most: of a holder's clients it has the least to lose. */
  evictor(): Evictor {
    let largest: ReadonlySet<A> = new Set()
    for (const all of this.#byPayer.values()) if (all.size > largest.size) largest = all
    return {
      most: largest.size,
      giveUp: () => {
        const newest = [...largest].at(-1)!
        // At once: until it has ended others would come.
        this.delete(newest)
        newest.overload(gaveWay)
      }
    }
  }

  /** Counts one. */
  add(held: A, party: Party): void {
    const { payer } = party
    party.add(this.#resource)
    if (this.#resource === "connections") this.#process.use("connections", this, true)
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
    if (this.#resource === "connections" && this.#releases.size === 0) this.#process.use("connections", this, false)
  }
}

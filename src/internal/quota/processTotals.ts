/**
 * What all servers of a process use together. When that is too much, whoever has the most makes room, on whichever server.
 */
import type { ProcessTotals as Quotas } from "../../Quotas.ts"
import { Holder } from "./holder.ts"

/** Gives up what whoever has the most of a total has, one thing after the other. @internal */
export interface Evictor {
  /** How much whoever has the most has of what can be given up; 0: there is nothing. */
  readonly most: number
  /** Gives some of it up, for the sake of a holder. */
  readonly giveUp: (exceeded: Holder) => void
}

/** What the clients of one server use of such a total. @internal */
export interface Part {
  readonly evictor: () => Evictor
}

/** @internal */
export class ProcessTotals {
  readonly holder: Holder
  readonly #parts = { connections: new Set<Part>(), memory: new Set<Part>() } as const

  constructor(quotas: Quotas) {
    this.holder = new Holder("process", undefined, quotas, () => 0, () => {})
  }

  /** `part` has something that counts, or has nothing more. */
  use(resource: keyof Quotas, part: Part, isUsed: boolean): void {
    if (isUsed) this.#parts[resource].add(part)
    else this.#parts[resource].delete(part)
  }

  /** Makes room until no more is used than may be, as far as there is something to give up. */
  bound(resource: keyof Quotas): void {
    if (this.holder.hasRoom(resource, 0)) return
    const evictors = [...this.#parts[resource]].map((part) => part.evictor())
    while (!this.holder.hasRoom(resource, 0) && this.#evict(evictors, 0));
  }

  /** Whoever has the most gives some up, if that is more than `least`. Answers whether somebody has. */
  makeRoom(resource: keyof Quotas, least: number): boolean {
    return this.#evict([...this.#parts[resource]].map((part) => part.evictor()), least)
  }

  #evict(evictors: ReadonlyArray<Evictor>, least: number): boolean {
    let largest: Evictor | undefined = undefined
    let most = least
    for (const evictor of evictors) {
      if (evictor.most <= most) continue
      largest = evictor
      most = evictor.most
    }
    largest?.giveUp(this.holder)
    return largest !== undefined
  }
}

/** By the object that has the quotas: all servers that were given the same one share its totals. */
const totals = new WeakMap<Quotas, ProcessTotals>()

/** @internal */
export const totalsOf = (quotas: Quotas): ProcessTotals => {
  let found = totals.get(quotas)
  if (found === undefined) totals.set(quotas, found = new ProcessTotals(quotas))
  return found
}

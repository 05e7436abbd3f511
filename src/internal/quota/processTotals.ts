/**
 * What all servers of a process use together. When that is too much, whoever has the most makes room, on whichever server.
 */
import type { ProcessTotals as Quotas } from "../../Quotas.ts"
import { Holder } from "./holder.ts"

/** What the clients of one server use of such a total. @internal */
export interface Part {
  /** Of whoever has the most here: how much that is, and what gives some of it up, for the sake of a holder. */
  readonly largest: () => { readonly amount: number; readonly giveUp: (exceeded: Holder) => void } | undefined
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
    while (!this.holder.hasRoom(resource, 0) && this.makeRoom(resource, 0));
  }

  /** Whoever has the most gives some up, if that is more than `least`. Answers whether somebody has. */
  makeRoom(resource: keyof Quotas, least: number): boolean {
    let most = least
    let giveUp: ((exceeded: Holder) => void) | undefined = undefined
    for (const part of this.#parts[resource]) {
      const largest = part.largest()
      if (largest === undefined || largest.amount <= most) continue
      most = largest.amount
      giveUp = largest.giveUp
    }
    giveUp?.(this.holder)
    return giveUp !== undefined
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

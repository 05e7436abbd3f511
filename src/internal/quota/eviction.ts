/**
 * Gives things up one after the other, each time the largest one of whoever holds the most then. What everybody holds is sorted
 * once: looked for each time, a thousand of 50,000 took 16 seconds.
 */

/** Something that is held, by whoever pays for it. @internal */
export interface Holding<A> {
  readonly payer: unknown
  readonly bytes: number
  readonly held: A
}

interface Payer<A> {
  bytes: number
  /** The least first, once it is sorted. */
  readonly holdings: Array<Holding<A>>
  isSorted: boolean
}

/** @internal */
export class Eviction<A> {
  /** The one that holds the least first. */
  readonly #payers: Array<Payer<A>>

  /** Of several that are equal the first is given up first. */
  constructor(holdings: Iterable<Holding<A>>) {
    const payers = new Map<unknown, Payer<A>>()
    for (const holding of holdings) {
      const payer = payers.get(holding.payer)
      if (payer === undefined) {
        payers.set(holding.payer, { bytes: holding.bytes, holdings: [holding], isSorted: false })
      } else {
        payer.bytes += holding.bytes
        payer.holdings.push(holding)
      }
    }
    this.#payers = [...payers.values()].reverse().sort((one, other) => one.bytes - other.bytes)
  }

  /** How much whoever holds the most holds. */
  get most(): number {
    return this.#payers.at(-1)?.bytes ?? 0
  }

  /** What is given up next. */
  next(): A | undefined {
    const payer = this.#payers.pop()
    if (payer === undefined) return undefined
    if (!payer.isSorted) {
      payer.holdings.reverse().sort((one, other) => one.bytes - other.bytes)
      payer.isSorted = true
    }
    const { bytes, held } = payer.holdings.pop()!
    payer.bytes -= bytes
    if (payer.holdings.length > 0) this.#insert(payer)
    return held
  }

  #insert(payer: Payer<A>): void {
    let [low, high] = [0, this.#payers.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#payers[middle]!.bytes <= payer.bytes) low = middle + 1
      else high = middle
    }
    this.#payers.splice(low, 0, payer)
  }
}

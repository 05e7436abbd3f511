/**
 * Finds whoever has the most of something, among very many whose amounts change all the time.
 */

interface Place<A> {
  readonly item: A
  readonly amount: number
}

/** Places that count no more are kept up to so many, besides as many as there are items. */
const maxStale = 1024

/** @internal */
export class Largest<A> {
  readonly #items: ReadonlyMap<unknown, A>
  readonly #amountOf: (item: A) => number
  /** A heap: none has more than the one at half of its index. A place counts while its item has the same amount. */
  #places: Array<Place<A>> = []

  /** Items whose amount is 0 don't count. */
  constructor(items: ReadonlyMap<unknown, A>, amountOf: (item: A) => number) {
    this.#items = items
    this.#amountOf = amountOf
  }

  /** The amount of an item has changed. */
  changed(item: A): void {
    const amount = this.#amountOf(item)
    if (amount === 0) return
    if (this.#places.length > 2 * this.#items.size + maxStale) return this.#rebuild()
    this.#add({ item, amount })
  }

  /** Of several that have as much any. */
  get(): A | undefined {
    for (let top = this.#places[0]; top !== undefined; top = this.#places[0]) {
      if (this.#amountOf(top.item) === top.amount) return top.item
      this.#removeFirst()
    }
    return undefined
  }

  #rebuild(): void {
    this.#places = []
    for (const item of this.#items.values()) {
      const amount = this.#amountOf(item)
      if (amount > 0) this.#add({ item, amount })
    }
  }

  #add(place: Place<A>): void {
    const places = this.#places
    let at = places.length
    while (at > 0) {
      const above = (at - 1) >> 1
      if (places[above]!.amount >= place.amount) break
      places[at] = places[above]!
      at = above
    }
    places[at] = place
  }

  #removeFirst(): void {
    const places = this.#places
    const last = places.pop()!
    if (places.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= places.length) break
      if (below + 1 < places.length && places[below + 1]!.amount > places[below]!.amount) below++
      if (places[below]!.amount <= last.amount) break
      places[at] = places[below]!
      at = below
    }
    places[at] = last
  }
}

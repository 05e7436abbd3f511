/**
 * The addresses or the principals that use something. Those that use nothing are forgotten, so that any number of them may
 * come.
 */
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import type { Holder } from "./holder.ts"

/**
 * So many holders that use nothing are remembered, for their rates: 11 MB (measured). A guess. A peer that can come from more
 * addresses within the seconds that a bucket takes to be full again gets more than its share of them.
 */
const maxIdle = 10_000

/** @internal */
export class Holders<K> {
  readonly #make: (key: K, onChange: (holder: Holder) => void) => Holder
  readonly #maxIdle: number
  /** By `Equal.equals`. */
  readonly #holders = MutableHashMap.empty<K, Holder>()
  /** Those that use nothing, with their keys; the one that has used nothing for the longest time is the first. */
  readonly #idle = new Map<Holder, K>()

  constructor(make: (key: K, onChange: (holder: Holder) => void) => Holder, most: number = maxIdle) {
    this.#make = make
    this.#maxIdle = most
  }

  get size(): number {
    return MutableHashMap.size(this.#holders)
  }

  get(key: K): Holder {
    const found = this.#find(key)
    if (found !== undefined) {
      this.#changed(found, key)
      return found
    }
    const holder = this.#make(key, (holder) => this.#changed(holder, key))
    MutableHashMap.set(this.#holders, key, holder)
    this.#changed(holder, key)
    this.#forget(holder)
    return holder
  }

  #find(key: K): Holder | undefined {
    return Option.getOrUndefined(MutableHashMap.get(this.#holders, key))
  }

  #changed(holder: Holder, key: K): void {
    this.#idle.delete(holder)
    if (holder.isIdle) this.#idle.set(holder, key)
    // It was forgotten between two uses.
    else if (this.#find(key) === undefined) MutableHashMap.set(this.#holders, key, holder)
  }

  /** Forgets up to two for each that comes: so those that can be forgotten don't pile up. */
  #forget(newest: Holder): void {
    let left = 2
    for (const [holder, key] of this.#idle) {
      if (holder === newest || left-- === 0) return
      if (this.#idle.size <= this.#maxIdle && !holder.isForgettable) return
      this.#idle.delete(holder)
      if (this.#find(key) === holder) MutableHashMap.remove(this.#holders, key)
    }
  }
}

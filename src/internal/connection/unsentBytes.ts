/**
 * Bounds the bytes that wait in all connections of a server for peers that read slowly. One connection may hold much for good
 * reasons, such as a large file for a slow reader; all of them together must not use up the memory of the process.
 */

import type { Link } from "../link/link.ts"

/** A connection that holds bodies, and what it holds besides. @internal */
export interface Holder {
  readonly mux: { readonly unreadBytes: number; readonly unsentBytes?: number }
  readonly session: { readonly bytes: number } | undefined
  readonly link: Link | undefined
  /** Ends it. */
  readonly overload: (reason: string) => void
}

/** Connections that hold less are not counted. */
const least = 1024 * 1024

/** @internal */
export class Unsent {
  readonly #maxBytes: number
  readonly #holders = new Set<Holder>()

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** A connection holds more than before. If all of them hold too much, the one that holds the most is ended. */
  grown(holder: Holder): void {
    this.#holders.add(holder)
    let [total, most] = [0, 0]
    let largest = holder
    for (const each of this.#holders) {
      const { unsentBytes = 0 } = each.mux
      if (unsentBytes < least) {
        this.#holders.delete(each)
        continue
      }
      total += unsentBytes
      if (unsentBytes > most) [largest, most] = [each, unsentBytes]
    }
    if (total <= this.#maxBytes) return
    this.#holders.delete(largest)
    largest.overload(`${most} bytes wait for this peer, which does not take them`)
  }

  /** A connection has ended. */
  forget(holder: Holder): void {
    this.#holders.delete(holder)
  }
}

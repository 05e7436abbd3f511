/**
 * The nodes that a reader of a directory knows, each until its lease is over.
 *
 * Leases are timed by the reader, and only while the engine shows signs of life: an engine that is dead, or out of reach, tells of no
 * renewals, and would otherwise seem to say that all nodes are gone.
 */
import type { Node } from "./node.ts"

/** How often a node renews its lease. @internal */
export const renewal = 5000

/** How long a lease lasts: two renewals may be lost. */
const lease = 15_000

interface Lease {
  readonly node: Node
  /** When it was renewed, in the time of the engine. */
  readonly renewedAt: number
}

const isSame = (one: Node, other: Node): boolean =>
  one.name === other.name && one.url === other.url && one.state === other.state

/** @internal */
export class Members {
  readonly #leases = new Map<string, Lease>()
  readonly #now: () => number
  readonly #onChange: () => void
  /** Milliseconds for which the engine was known to work. */
  #engineTime = 0
  #heardAt: number | undefined

  /** `now`: milliseconds that only grow. */
  constructor(now: () => number, onChange: () => void) {
    this.#now = now
    this.#onChange = onChange
  }

  get all(): ReadonlyArray<Node> {
    return Array.from(this.#leases.values(), ({ node }) => node)
  }

  /** A node has written itself: for the first time, or again. */
  put(node: Node): void {
    const now = this.#now()
    // Longer gaps are those of the engine: this end, or another node, would have been heard.
    if (this.#heardAt !== undefined) this.#engineTime += Math.min(now - this.#heardAt, renewal)
    this.#heardAt = now
    const before = this.#leases.get(node.instance)
    this.#leases.set(node.instance, { node, renewedAt: this.#engineTime })
    const expired = this.#expire()
    if (expired || before === undefined || !isSame(before.node, node)) this.#onChange()
  }

  remove(instance: string): void {
    if (this.#leases.delete(instance)) this.#onChange()
  }

  #expire(): boolean {
    const before = this.#leases.size
    for (const [instance, { renewedAt }] of this.#leases) {
      if (this.#engineTime - renewedAt >= lease) this.#leases.delete(instance)
    }
    return this.#leases.size < before
  }
}

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

/** So many of those are remembered. A guess. */
const maxExpired = 1000

interface Lease {
  readonly node: Node
  /** When it was renewed, in the time of the engine. */
  readonly renewedAt: number
  readonly version: number | string | undefined
}

const isSame = (one: Node, other: Node): boolean =>
  one.name === other.name && one.url === other.url && one.state === other.state

/** @internal */
export class Members {
  readonly #leases = new Map<string, Lease>()
  /** The last versions of records whose lease is over: an engine may keep them, and tell of them again. */
  readonly #expired = new Map<string, number | string>()
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

  /** A node has written itself: for the first time, or again. With the version that it had, it is only told of again. */
  put(node: Node, version?: number | string): void {
    const now = this.#now()
    // Longer gaps are those of the engine: this end, or another node, would have been heard.
    if (this.#heardAt !== undefined) this.#engineTime += Math.min(now - this.#heardAt, renewal)
    this.#heardAt = now
    const before = this.#leases.get(node.instance)
    if (version !== undefined && this.#expired.get(node.instance) === version) return
    this.#expired.delete(node.instance)
    const isRepeated = before !== undefined && version !== undefined && before.version === version
    const renewedAt = isRepeated ? before.renewedAt : this.#engineTime
    this.#leases.set(node.instance, { node, renewedAt, version })
    const expired = this.#expire()
    if (expired || before === undefined || !isSame(before.node, node)) this.#onChange()
  }

  remove(instance: string): void {
    if (this.#leases.delete(instance)) this.#onChange()
  }

  #expire(): boolean {
    const before = this.#leases.size
    for (const [instance, { renewedAt, version }] of this.#leases) {
      if (this.#engineTime - renewedAt < lease) continue
      this.#leases.delete(instance)
      if (version !== undefined) this.#expired.set(instance, version)
    }
    for (const instance of this.#expired.keys()) {
      if (this.#expired.size <= maxExpired) break
      this.#expired.delete(instance)
    }
    return this.#leases.size < before
  }
}

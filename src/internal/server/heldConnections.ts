/**
 * Whose connections a server has. When there are too many, whoever has the most loses one to the others.
 */
import { refused } from "../link/refusal.ts"
import type { Holder } from "../quota/holder.ts"
import { describe, type Party } from "../quota/party.ts"

/** @internal */
export interface HeldConnection {
  /** Ends it. */
  readonly overload: (reason: string) => void
}

const gaveWay = "the server has too many connections, and this client has the most"

/** @internal */
export class HeldConnections {
  /** The oldest connection of each holder first. */
  readonly #byPayer = new Map<Holder, Set<HeldConnection>>()
  /** What ends the counting of each. */
  readonly #releases = new Map<HeldConnection, () => void>()

  /** Answers why there is no room for another connection; else there is, if need be that of another holder. */
  refusal(party: Party): ReturnType<typeof refused> | undefined {
    const exceeded = party.refusal("connections")
    if (exceeded === undefined) return undefined
    if (exceeded.holder.kind === "server" && this.#makeRoom(party)) return undefined
    // Further clients of a full address are refused before the upgrade, which costs a tenth. Not the first one: a client that
    // resumes its connection needs no room.
    if (exceeded.holder.kind === "address") exceeded.holder.markFull("connections")
    return refused("local", "OVERLOADED", describe(exceeded))
  }

  add(connection: HeldConnection, party: Party): void {
    const { payer } = party
    party.add("connections")
    const connections = payer && (this.#byPayer.get(payer) ?? new Set())
    if (payer !== undefined) this.#byPayer.set(payer, connections!.add(connection))
    this.#releases.set(connection, () => {
      party.release("connections")
      connections?.delete(connection)
      if (connections?.size === 0) this.#byPayer.delete(payer!)
    })
  }

  /** The connection has ended. */
  delete(connection: HeldConnection): void {
    const release = this.#releases.get(connection)
    this.#releases.delete(connection)
    release?.()
  }

  /**
   * Ends a connection of the holder that has the most, the newest: of a holder's clients it has the least to lose. Only for a
   * client of one that has fewer even with another one: otherwise two holders would take turns.
   */
  #makeRoom({ payer }: Party): boolean {
    let largest: ReadonlySet<HeldConnection> = new Set()
    for (const connections of this.#byPayer.values()) if (connections.size > largest.size) largest = connections
    const own = payer === undefined ? 0 : this.#byPayer.get(payer)?.size ?? 0
    if (largest.size <= own + 1) return false
    const newest = [...largest].at(-1)!
    // At once: until it has ended others would come.
    this.delete(newest)
    newest.overload(gaveWay)
    return true
  }
}

/**
 * Bounds the number and the bytes of the interrupted connections of a server, and decides which of them are given up for the others.
 *
 * A connection's bytes grow while it waits, because its handlers run on, so they are counted anew every second.
 */
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { Eviction, type Holding } from "../quota/eviction.ts"
import { type Holder, isTotal } from "../quota/holder.ts"
import type { Party } from "../quota/party.ts"
import type { Session } from "../session/session.ts"

/** What an interrupted connection takes besides the bytes that it holds, for streams, tables and fibers. A guess. */
const flatBytes = 16 * 1024

/** Time between two counts, in milliseconds. */
const interval = 1000

/** @internal */
export interface Interrupted<M, P> {
  readonly driver: ConnectionDriver<M, P>
  readonly session: Session
  readonly giveUp: (error: SwaggerSocketError) => void
}

/** Bytes of messages that may have to be sent again, of bodies that were not read, and of bodies that were not sent. */
const bytesOf = <M, P>({ driver: { mux }, session }: Interrupted<M, P>): number =>
  flatBytes + session.bytes + mux.unreadBytes + (mux.unsentBytes ?? 0)

interface Entry {
  bytes: number
  /** Whose quotas it counts against. */
  readonly party: Party
}

/** @internal */
export class InterruptedSessions<M, P> {
  readonly #partyOf: (driver: ConnectionDriver<M, P>) => Party
  readonly #delay: (millis: number, run: () => void) => void
  /** In the order in which they were interrupted. */
  readonly #entries = new Map<Interrupted<M, P>, Entry>()
  readonly #byHolder = new Map<Holder, Set<Interrupted<M, P>>>()
  #isWatching = false

  constructor(
    partyOf: (driver: ConnectionDriver<M, P>) => Party,
    later: (millis: number, run: () => void) => void
  ) {
    this.#partyOf = partyOf
    this.#delay = later
  }

  add(session: Interrupted<M, P>): void {
    const party = this.#partyOf(session.driver)
    const entry: Entry = { bytes: 0, party }
    this.#entries.set(session, entry)
    for (const holder of party.holders) {
      const sessions = this.#byHolder.get(holder) ?? new Set()
      this.#byHolder.set(holder, sessions.add(session))
    }
    party.add("interruptedSessions")
    this.#count(entry, bytesOf(session))
    this.#bound(entry)
    this.#watch()
  }

  delete(session: Interrupted<M, P>): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    this.#entries.delete(session)
    this.#count(entry, 0)
    entry.party.release("interruptedSessions")
    for (const holder of entry.party.holders) {
      const sessions = this.#byHolder.get(holder)!
      sessions.delete(session)
      if (sessions.size === 0) this.#byHolder.delete(holder)
    }
  }

  #count(entry: Entry, bytes: number): void {
    entry.party.add("interruptedBytes", bytes - entry.bytes)
    entry.bytes = bytes
  }

  #watch(): void {
    if (this.#isWatching || this.#entries.size === 0) return
    this.#isWatching = true
    this.#delay(interval, () => {
      this.#isWatching = false
      for (const [session, entry] of this.#entries) this.#count(entry, bytesOf(session))
      for (const entry of this.#entries.values()) this.#bound(entry)
      this.#watch()
    })
  }

  /** Gives sessions up where the principal, the address or all together have too many, or too many bytes. */
  #bound({ party }: Entry): void {
    for (const holder of party.holders) {
      for (const quota of ["interruptedSessions", "interruptedBytes"] as const) {
        if (holder.hasRoom(quota, 0)) continue
        const eviction = new Eviction(this.#holdings(holder))
        while (!holder.hasRoom(quota, 0)) {
          party.tell({ quota, holder })
          this.#giveUp(eviction.next()!)
        }
      }
    }
  }

  /**
   * The sessions that a holder may lose, the one that has waited the longest first; of a total, those of whoever holds the most: a
   * principal, or an address where there are no principals. Some bytes more or less make no difference.
   */
  *#holdings(holder: Holder): Iterable<Holding<Interrupted<M, P>>> {
    const isOfAll = isTotal(holder)
    for (const held of isOfAll ? this.#entries.keys() : this.#byHolder.get(holder)!) {
      const { bytes, party: { payer } } = this.#entries.get(held)!
      yield { held, bytes: bytes - bytes % flatBytes, payer: isOfAll ? payer ?? held : holder }
    }
  }

  #giveUp(session: Interrupted<M, P>): void {
    this.delete(session)
    session.giveUp(sessionLost("expired", undefined))
  }
}

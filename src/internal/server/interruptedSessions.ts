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
import type { Exceeded, Party } from "../quota/party.ts"
import { inPortions } from "../quota/portions.ts"
import type { Session } from "../session/session.ts"

/** What an interrupted connection takes besides the bytes that it holds, for streams, tables and fibers. A guess. */
const flatBytes = 16 * 1024

/** Time between two counts, in milliseconds. */
const interval = 1000

/**
 * Milliseconds until it is looked for what has to be given up for a new one. Thousands are interrupted one behind the other when
 * a network is lost: looked for each time, 30,000 that were too many would have taken minutes.
 */
const patience = 100

/** @internal */
export interface Interrupted<M, P> {
  readonly driver: ConnectionDriver<M, P>
  readonly session: Session
  readonly giveUp: (error: SwaggerSocketError) => void
}

/** Bytes of messages that may have to be sent again, of bodies that were not read, and of bodies that were not sent. */
const bytesOf = <M, P>({ driver: { mux }, session }: Interrupted<M, P>): number =>
  flatBytes + session.bytes + mux.unreadBytes + (mux.unsentBytes ?? 0)

const quotas = ["interruptedSessions", "interruptedBytes"] as const

const isExceeded = (holder: Holder): boolean => quotas.some((quota) => !holder.hasRoom(quota, 0))

interface Entry {
  bytes: number
  /** Whose quotas it counts against. */
  readonly party: Party
}

/** @internal */
export class InterruptedSessions<M, P> {
  readonly #partyOf: (driver: ConnectionDriver<M, P>) => Party
  readonly #delay: (millis: number, run: () => void) => void
  readonly #inTurn: (step: () => void) => void
  /** In the order in which they were interrupted. */
  readonly #entries = new Map<Interrupted<M, P>, Entry>()
  readonly #byHolder = new Map<Holder, Set<Interrupted<M, P>>>()
  /** Those that have too many sessions, or too many bytes. */
  readonly #exceeded = new Set<Holder>()
  /** Sessions that don't count any more, and end when it is their turn. */
  readonly #ending = new Set<Interrupted<M, P>>()
  #isWatching = false

  /** `inTurn` runs the end of a session, now or when the event loop has time for it. */
  constructor(
    partyOf: (driver: ConnectionDriver<M, P>) => Party,
    later: (millis: number, run: () => void) => void,
    inTurn: (step: () => void) => void
  ) {
    this.#partyOf = partyOf
    this.#delay = later
    this.#inTurn = inTurn
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
    this.#count(session, entry)
    for (const holder of party.holders) if (isExceeded(holder)) this.#boundLater(holder)
    this.#watch()
  }

  delete(session: Interrupted<M, P>): void {
    this.#ending.delete(session)
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    this.#entries.delete(session)
    entry.party.release("interruptedBytes", entry.bytes)
    entry.party.release("interruptedSessions")
    for (const holder of entry.party.holders) {
      const sessions = this.#byHolder.get(holder)!
      sessions.delete(session)
      if (sessions.size === 0) this.#byHolder.delete(holder)
    }
  }

  #count(session: Interrupted<M, P>, entry: Entry): void {
    const grown = bytesOf(session) - entry.bytes
    if (grown === 0) return
    entry.bytes += grown
    entry.party.add("interruptedBytes", grown)
  }

  #watch(): void {
    if (this.#isWatching || this.#entries.size === 0) return
    this.#isWatching = true
    this.#delay(
      interval,
      () =>
        inPortions(this.#entries.entries(), this.#delay, ([session, entry]) => this.#count(session, entry), () => {
          this.#isWatching = false
          for (const holder of this.#byHolder.keys()) this.#bound(holder)
          this.#watch()
        })
    )
  }

  #boundLater(holder: Holder): void {
    if (this.#exceeded.size === 0) {
      this.#delay(patience, () => {
        const exceeded = [...this.#exceeded]
        this.#exceeded.clear()
        for (const holder of exceeded) this.#bound(holder)
      })
    }
    this.#exceeded.add(holder)
  }

  /** Gives sessions up where the principal, the address or all together have too many, or too many bytes. */
  #bound(holder: Holder): void {
    for (const quota of quotas) {
      if (holder.hasRoom(quota, 0)) continue
      const eviction = new Eviction(this.#holdings(holder))
      while (!holder.hasRoom(quota, 0)) this.#giveUp(eviction.next()!, { quota, holder })
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

  #giveUp(session: Interrupted<M, P>, because: Exceeded): void {
    const { party } = this.#entries.get(session)!
    this.delete(session)
    party.tell(because)
    this.#ending.add(session)
    // Unless its client has come back by then.
    this.#inTurn(() => {
      if (this.#ending.delete(session)) session.giveUp(sessionLost("expired", undefined))
    })
  }
}

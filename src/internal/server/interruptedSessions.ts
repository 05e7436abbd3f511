/**
 * Bounds the bytes of the interrupted connections of a server, and decides which of them are given up for the others.
 *
 * A connection's bytes grow while it waits, because its handlers run on, so they are counted anew every second.
 */
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { sessionLost } from "../connection/endErrors.ts"
import type { ConnectionDriver } from "../connection/types.ts"
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

/** The interrupted sessions of one principal, or of one address. */
class Group<M, P> {
  readonly sessions = new Set<Interrupted<M, P>>()
  bytes = 0
}

interface Entry<M, P> {
  bytes: number
  /** Absent: the server has no `authenticate`. */
  readonly principal: Group<M, P> | undefined
  /** Absent: the platform does not tell addresses. */
  readonly address: Group<M, P> | undefined
}

type Bounds = Pick<
  Limits,
  "maxInterruptedBytes" | "maxInterruptedBytesPerAddress" | "maxInterruptedBytesPerPrincipal"
>

/** @internal */
export class InterruptedSessions<M, P> {
  readonly #limits: Bounds
  readonly #delay: (millis: number, run: () => void) => void
  /** In the order in which they were interrupted. */
  readonly #entries = new Map<Interrupted<M, P>, Entry<M, P>>()
  readonly #principals = MutableHashMap.empty<P, Group<M, P>>()
  readonly #addresses = new Map<string, Group<M, P>>()
  #bytes = 0
  #isWatching = false

  constructor(limits: Bounds, later: (millis: number, run: () => void) => void) {
    this.#limits = limits
    this.#delay = later
  }

  add(session: Interrupted<M, P>): void {
    const { principal, remoteAddress } = session.driver
    const entry: Entry<M, P> = {
      bytes: 0,
      principal: principal === undefined ? undefined : this.#groupOfPrincipal(principal),
      address: Option.isNone(remoteAddress) ? undefined : this.#groupOfAddress(remoteAddress.value)
    }
    entry.principal?.sessions.add(session)
    entry.address?.sessions.add(session)
    this.#entries.set(session, entry)
    this.#count(entry, bytesOf(session))
    this.#bound(entry)
    this.#watch()
  }

  delete(session: Interrupted<M, P>): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    this.#count(entry, 0)
    this.#entries.delete(session)
    const { principal, remoteAddress } = session.driver
    entry.principal?.sessions.delete(session)
    if (entry.principal?.sessions.size === 0) MutableHashMap.remove(this.#principals, principal)
    entry.address?.sessions.delete(session)
    if (entry.address?.sessions.size === 0) this.#addresses.delete(Option.getOrThrow(remoteAddress))
  }

  #groupOfPrincipal(principal: P): Group<M, P> {
    const found = MutableHashMap.get(this.#principals, principal)
    if (Option.isSome(found)) return found.value
    const group = new Group<M, P>()
    MutableHashMap.set(this.#principals, principal, group)
    return group
  }

  #groupOfAddress(address: string): Group<M, P> {
    const group = this.#addresses.get(address) ?? new Group<M, P>()
    this.#addresses.set(address, group)
    return group
  }

  #count(entry: Entry<M, P>, bytes: number): void {
    const grown = bytes - entry.bytes
    entry.bytes = bytes
    this.#bytes += grown
    if (entry.principal !== undefined) entry.principal.bytes += grown
    if (entry.address !== undefined) entry.address.bytes += grown
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

  /** Gives sessions up where the principal, the address or all together have too many bytes. */
  #bound({ address, principal }: Entry<M, P>): void {
    const { maxInterruptedBytes, maxInterruptedBytesPerAddress, maxInterruptedBytesPerPrincipal } = this.#limits
    this.#trim(principal, maxInterruptedBytesPerPrincipal)
    this.#trim(address, maxInterruptedBytesPerAddress)
    while (this.#bytes > maxInterruptedBytes) this.#evict(this.#largestHolder())
  }

  #trim(group: Group<M, P> | undefined, maxBytes: number): void {
    if (group === undefined) return
    while (group.bytes > maxBytes) this.#evict(group.sessions)
  }

  /** The sessions of the principal that holds the most; or of the address, where there are no principals. */
  #largestHolder(): Iterable<Interrupted<M, P>> {
    let largest: Group<M, P> | undefined = undefined
    const consider = (group: Group<M, P>) => {
      if (largest === undefined || group.bytes > largest.bytes) largest = group
    }
    if (MutableHashMap.size(this.#principals) > 0) MutableHashMap.forEach(this.#principals, consider)
    else this.#addresses.forEach(consider)
    return (largest as Group<M, P> | undefined)?.sessions ?? this.#entries.keys()
  }

  /** Gives up the largest of these sessions; of those with about the same bytes, the one that has waited the longest. */
  #evict(sessions: Iterable<Interrupted<M, P>>): void {
    let largest: Interrupted<M, P> | undefined = undefined
    let most = -1
    for (const session of sessions) {
      const size = Math.floor(this.#entries.get(session)!.bytes / flatBytes)
      if (size > most) [largest, most] = [session, size]
    }
    this.delete(largest!)
    largest!.giveUp(sessionLost("expired", undefined))
  }
}

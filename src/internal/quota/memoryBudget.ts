/**
 * Bounds the bytes that peers make the connections of a server hold: metadata, messages that have not arrived whole or that
 * may have to be sent again, bodies that were not read, and bodies that were not sent. When there are too many, on this server
 * or in the whole process, whoever holds the most loses a connection.
 *
 * What peers send is counted every second, for it comes no faster than a network. What handlers write can come much faster,
 * so a connection tells when it has written more.
 */
import { partialIn, waitingIn } from "../link/heldBytes.ts"
import type { Link } from "../link/link.ts"
import { Eviction, type Holding } from "./eviction.ts"
import type { Held } from "./held.ts"
import type { Holder } from "./holder.ts"
import type { Party } from "./party.ts"
import { inPortions } from "./portions.ts"
import type { Evictor, Part, ProcessTotals } from "./processTotals.ts"

/** Time between two counts, in milliseconds. */
const interval = 1000

/** A connection, or a call with a WebSocket of its own. @internal */
export interface Counted extends Held {
  /** Absent while there is none. */
  readonly link: Link | undefined
  readonly mux: { readonly unreadBytes: number; readonly unsentBytes?: number }
  readonly session: { readonly bytes: number } | undefined
}

interface Entry {
  bytes: number
  /** What is always there. */
  readonly fixed: number
  /** Whose quotas it counts against. */
  readonly party: Party
}

/** What waits in the socket may have to be sent again as well, and then the session has it. */
const bytesOf = ({ link, mux, session }: Counted): number =>
  (session === undefined ? waitingIn(link) : session.bytes) + partialIn(link) + mux.unreadBytes + (mux.unsentBytes ?? 0)

/** @internal */
export class MemoryBudget implements Part {
  readonly #server: Holder
  readonly #process: ProcessTotals
  readonly #delay: (millis: number, run: () => void) => void
  readonly #inTurn: (step: () => void) => void
  readonly #entries = new Map<Counted, Entry>()
  #isWatching = false

  /** `inTurn` runs the end of a connection, now or when the event loop has time for it: thousands may have to end at once. */
  constructor(
    server: Holder,
    process: ProcessTotals,
    later: (millis: number, run: () => void) => void,
    inTurn: (step: () => void) => void
  ) {
    this.#server = server
    this.#process = process
    this.#delay = later
    this.#inTurn = inTurn
  }

  /** `fixed`: bytes that it holds besides, as long as it is there. */
  add(connection: Counted, party: Party, fixed: number): void {
    this.#entries.set(connection, { bytes: 0, fixed, party })
    this.#process.use("memory", this, true)
    this.#watch()
  }

  /** A connection has written more than before. */
  grown(connection: Counted): void {
    const entry = this.#entries.get(connection)
    if (entry !== undefined) {
      this.#count(connection, entry)
      this.#bound()
    }
  }

  /** A connection has ended. */
  forget(connection: Counted): void {
    const entry = this.#entries.get(connection)
    if (entry !== undefined) entry.party.release("memory", entry.bytes)
    this.#entries.delete(connection)
    if (this.#entries.size === 0) this.#process.use("memory", this, false)
  }

  #count(connection: Counted, entry: Entry): void {
    const grown = entry.fixed + bytesOf(connection) - entry.bytes
    if (grown === 0) return
    entry.bytes += grown
    entry.party.add("memory", grown)
  }

  #countAll(): void {
    for (const [connection, entry] of this.#entries) this.#count(connection, entry)
  }

  #watch(): void {
    if (this.#isWatching || this.#entries.size === 0) return
    this.#isWatching = true
    this.#delay(
      interval,
      () =>
        inPortions(
          this.#entries.entries(),
          this.#delay,
          ([connection, entry]) => this.#count(connection, entry),
          () => {
            this.#isWatching = false
            this.#bound()
            this.#watch()
          }
        )
    )
  }

  #bound(): void {
    if (this.#server.hasRoom("memory", 0) && this.#process.holder.hasRoom("memory", 0)) return
    this.#countAll()
    if (!this.#server.hasRoom("memory", 0)) {
      const evictor = this.evictor()
      while (!this.#server.hasRoom("memory", 0)) evictor.giveUp(this.#server)
    }
    this.#process.bound("memory")
  }

  /** Ends connections: the one that holds the most, of the principal that does; or of the address, where there are no principals. */
  evictor(): Evictor {
    const eviction = new Eviction(this.#holdings())
    return {
      get most() {
        return eviction.most
      },
      giveUp: (exceeded) => {
        const connection = eviction.next()
        if (connection !== undefined) this.#end(connection, exceeded)
      }
    }
  }

  *#holdings(): Iterable<Holding<Counted>> {
    for (const [held, { bytes, party: { payer } }] of this.#entries) yield { held, bytes, payer: payer ?? held }
  }

  #end(connection: Counted, exceeded: Holder): void {
    const entry = this.#entries.get(connection)
    if (entry === undefined) return
    entry.party.tell({ quota: "memory", holder: exceeded })
    this.forget(connection)
    const reason =
      `the connections of the ${exceeded.kind} hold too many bytes, and those of this client the most: ${entry.bytes} here`
    this.#inTurn(() => connection.overload(reason))
  }
}

/**
 * Bounds the bytes that peers make the connections of a server hold: messages that may have to be sent again, bodies that
 * were not read, and bodies that were not sent. When there are too many, whoever holds the most loses a connection.
 *
 * What peers send is counted every second, for it comes no faster than a network. What handlers write can come much faster,
 * so a connection tells when it has written more.
 */
import type { ConnectionDriver } from "../connection/types.ts"
import type { Unsent } from "../connection/unsentBytes.ts"
import type { Holder } from "../quota/holder.ts"
import type { Party } from "../quota/party.ts"

/** Time between two counts, in milliseconds. */
const interval = 1000

/** So many connections are counted at once: within 2 ms (measured). The next ones follow after `pause`, in milliseconds. */
const portion = 4096
const pause = 50

/** What is counted of a connection. @internal */
export type Counted = Pick<ConnectionDriver<unknown, unknown>, "mux" | "overload" | "session">

interface Entry {
  bytes: number
  /** Whose quotas it counts against. */
  readonly party: Party
}

const bytesOf = ({ mux, session }: Counted): number => (session?.bytes ?? 0) + mux.unreadBytes + (mux.unsentBytes ?? 0)

/** @internal */
export class MemoryBudget implements Pick<Unsent, "forget" | "grown"> {
  readonly #server: Holder
  readonly #unsent: Pick<Unsent, "forget" | "grown">
  readonly #delay: (millis: number, run: () => void) => void
  readonly #entries = new Map<Counted, Entry>()
  #isWatching = false

  /** `unsent` has a limit of its own for bodies that were not sent. */
  constructor(
    server: Holder,
    unsent: Pick<Unsent, "forget" | "grown">,
    later: (millis: number, run: () => void) => void
  ) {
    this.#server = server
    this.#unsent = unsent
    this.#delay = later
  }

  add(connection: Counted, party: Party): void {
    this.#entries.set(connection, { bytes: 0, party })
    this.#watch()
  }

  /** A connection has written more than before. */
  grown(connection: Counted): void {
    const entry = this.#entries.get(connection)
    if (entry !== undefined) {
      this.#count(connection, entry)
      this.#bound()
    }
    this.#unsent.grown(connection)
  }

  /** A connection has ended. */
  forget(connection: Counted): void {
    const entry = this.#entries.get(connection)
    if (entry !== undefined) entry.party.release("memory", entry.bytes)
    this.#entries.delete(connection)
    this.#unsent.forget(connection)
  }

  #count(connection: Counted, entry: Entry): void {
    const grown = bytesOf(connection) - entry.bytes
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
    this.#delay(interval, () => this.#countSome(this.#entries.entries()))
  }

  #countSome(rest: Iterator<[Counted, Entry]>): void {
    for (let left = portion; left > 0; left--) {
      const next = rest.next()
      if (next.done === true) {
        this.#isWatching = false
        this.#bound()
        return this.#watch()
      }
      this.#count(...next.value)
    }
    this.#delay(pause, () => this.#countSome(rest))
  }

  #bound(): void {
    if (this.#server.hasRoom("memory", 0)) return
    this.#countAll()
    while (!this.#server.hasRoom("memory", 0)) {
      const largest = this.#largest()
      const { bytes, party } = this.#entries.get(largest)!
      party.tell({ quota: "memory", holder: this.#server })
      this.forget(largest)
      largest.overload(
        `the connections of the server hold too many bytes, and those of this client the most: ${bytes} here`
      )
    }
  }

  /** The connection that holds the most, of the principal that does; or of the address, where there are no principals. */
  #largest(): Counted {
    let largest: Counted | undefined = undefined
    let [most, own] = [-1, -1]
    for (const [connection, { bytes, party: { payer } }] of this.#entries) {
      const all = payer?.used("memory") ?? bytes
      if (all < most || (all === most && bytes <= own)) continue
      largest = connection
      ;[most, own] = [all, bytes]
    }
    return largest!
  }
}

/**
 * Counts the calls of one connection against the quotas of whoever makes them, until their handlers have ended: whatever became
 * of the call or of its connection. A call beyond a quota is answered before any handler sees it.
 */
import type { CallCounter } from "../connection/peer.ts"
import { isTotal } from "../quota/holder.ts"
import type { LimitedConnection } from "../quota/limits.ts"
import type { Client, Party } from "../quota/party.ts"
import type { Overload } from "./overload.ts"

/** @internal */
export class CountedCalls implements CallCounter {
  readonly #party: Party
  readonly #overload: Overload
  readonly #connectionId: string
  #connection: LimitedConnection | undefined = undefined

  constructor(party: Party, overload: Overload, connectionId: string) {
    this.#party = party
    this.#connectionId = connectionId
    this.#overload = overload
  }

  begin(): 429 | 503 | undefined {
    const party = this.#party
    if (this.#overload.refuses(party)) return 503
    const exceeded = party.beginCall()
    return exceeded === undefined ? undefined : isTotal(exceeded.holder) ? 503 : 429
  }

  paused(): void {
    this.#party.tellLimit("refusedPerSecond", this.#connection ??= this.#party.connection(this.#connectionId))
  }

  get client(): Client {
    return this.#party.client
  }

  end(): void {
    this.#party.release("calls")
  }
}

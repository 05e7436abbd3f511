/**
 * The exchanges that an API is answering: a drain waits for them.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Gate } from "../scheduling/gate.ts"
import { standstill } from "../scheduling/standstill.ts"

/** @internal */
export interface Served {
  /** The bytes of the response that have left, if it waits for its reader. Otherwise `undefined`. */
  readonly sentToReader: number | undefined
  /** Ends what no fiber of the API ends: it has closed. */
  readonly abort: () => void
}

/** @internal */
export class InProgress {
  readonly #gate = new Gate()
  readonly #exchanges = new Set<Served>()

  begin(exchange: Served): void {
    this.#exchanges.add(exchange)
  }

  end(exchange: Served): void {
    this.#exchanges.delete(exchange)
    if (this.#gate.isAwaited) this.#gate.notify()
  }

  /** Ends what is left behind the time that `idle` was waited for. */
  abort(): void {
    for (const exchange of this.#exchanges) exchange.abort()
  }

  /** Waits until no handler runs, or until nothing was left for `period` but responses whose readers have stopped. */
  idle(period: Duration.Duration): Effect.Effect<void> {
    const none = this.#gate.until(() => this.#exchanges.size === 0)
    return Effect.raceFirst(none, standstill(() => this.#sentToReaders(), period))
  }

  /** The bytes that have left for readers. `undefined` if a handler still works: it may take as long as it needs. */
  #sentToReaders(): number | undefined {
    let sum = 0
    for (const { sentToReader } of this.#exchanges) {
      if (sentToReader === undefined) return undefined
      sum += sentToReader
    }
    return sum
  }
}

/**
 * A server that goes away, or whose API does: it lets nobody new in, and its connections finish what they have.
 */
import * as Effect from "effect/Effect"
import type { Limits } from "../../Limits.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import { CloseCode } from "../frame/errorCode.ts"
import { noMoreRequests } from "./admission.ts"

/** @internal */
export class Departure {
  readonly #limits: Limits
  readonly #connections: () => ReadonlyArray<ConnectionDriver<unknown, unknown>>
  /** A server may go away while its API does. */
  #count = 0

  constructor(limits: Limits, connections: () => ReadonlyArray<ConnectionDriver<unknown, unknown>>) {
    this.#limits = limits
    this.#connections = connections
  }

  /** Nobody new is let in now. */
  get isUnderWay(): boolean {
    return this.#count > 0
  }

  /** Lets a connection finish what it has, and closes it. */
  drain(driver: ConnectionDriver<unknown, unknown>): Effect.Effect<void> {
    return driver.drain(this.#limits.drainTimeout, CloseCode.GOING_AWAY, noMoreRequests)
  }

  /** For good: the server goes away. */
  get drainAll(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#count++
      return Effect.forEach(this.#connections(), (driver) => this.drain(driver), {
        concurrency: "unbounded",
        discard: true
      })
    })
  }

  /** Until all connections are drained: another API may be served afterwards. */
  get drainAllForNow(): Effect.Effect<void> {
    return Effect.ensuring(
      this.drainAll,
      Effect.sync(() => {
        this.#count--
      })
    )
  }
}

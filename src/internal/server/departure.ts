/**
 * Drains a server that goes away, or whose API does: no new connections are made, and those there are finish their calls.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Limits } from "../../Limits.ts"
import type { ConnectionDriver } from "../connection/types.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { awaitStepOf } from "../link/link.ts"
import { noMoreRequests } from "./admission.ts"

/** @internal */
export class Departure {
  readonly #limits: Limits
  readonly #connections: () => ReadonlyArray<ConnectionDriver<unknown, unknown>>
  /** How many drains are under way: a server may go away while its API does. */
  #count = 0

  constructor(limits: Limits, connections: () => ReadonlyArray<ConnectionDriver<unknown, unknown>>) {
    this.#limits = limits
    this.#connections = connections
  }

  /** No new connections are made now. */
  get isUnderWay(): boolean {
    return this.#count > 0
  }

  /** Lets a connection finish its calls, and closes it. */
  drain(driver: ConnectionDriver<unknown, unknown>): Effect.Effect<void> {
    return driver.drain(this.#limits.drainTimeout, CloseCode.GOING_AWAY, noMoreRequests)
  }

  /** The server goes away: no connections are made any more. */
  get drainAll(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#count++
      const drained = Effect.forEach(this.#connections(), (driver) =>
        Effect.andThen(
          awaitStepOf(driver.link),
          Effect.forkChild(this.drain(driver), { startImmediately: true, uninterruptible: "inherit" })
        ))
      return Effect.asVoid(Effect.flatMap(drained, Fiber.awaitAll))
    })
  }

  /** The API goes away: connections are made again once all are drained, for another API may be served then. */
  get drainAllForNow(): Effect.Effect<void> {
    return Effect.ensuring(
      this.drainAll,
      Effect.sync(() => {
        this.#count--
      })
    )
  }
}

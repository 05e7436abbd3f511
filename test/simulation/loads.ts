/**
 * Modules that the package loads with their first use. The platform does that, outside of the loop of a simulation: before
 * anything else happens there, it is waited for.
 */
import * as Effect from "effect/Effect"
import type { Owner } from "./loop.ts"

export class Loads {
  readonly #owners: Array<Owner> = []

  /** Something may be loaded now. A program that stands still, or was killed, begins nothing. */
  get mayBeUnderWay(): boolean {
    return this.#owners.length > 0 && this.#owners.some(({ held, isAlive }) => isAlive && held === undefined)
  }

  /** To be told of what a program does that loads something. */
  during<A, E, R>(owner: Owner, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.#owners.push(owner)
      return Effect.ensuring(effect, Effect.sync(() => this.#owners.splice(this.#owners.indexOf(owner), 1)))
    })
  }
}

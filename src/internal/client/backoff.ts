/**
 * The delays between the attempts of a client.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { ReconnectionPolicy } from "./reconnection.ts"

type Step = (error: SwaggerSocketError) => Effect.Effect<unknown, unknown>

/**
 * The delays go on along the schedule until they are reset. A connection alone does not reset them: a server that accepts
 * connections and closes them at once would be dialled again and again after the first delay.
 *
 * @internal
 */
export class Backoff {
  readonly #schedule: ReconnectionPolicy["schedule"]
  #step: Step | undefined

  constructor(schedule: ReconnectionPolicy["schedule"]) {
    this.#schedule = schedule
  }

  /** The last link was of use: the next delay is the first of the schedule again. */
  reset(): void {
    this.#step = undefined
  }

  /** Waits; answers whether there shall be another attempt. */
  wait(error: SwaggerSocketError): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (this.#step !== undefined) return this.#next(this.#step, error)
      return Effect.flatMap(Schedule.toStepWithSleep(this.#schedule), (step) => this.#next(this.#step = step, error))
    })
  }

  #next(step: Step, error: SwaggerSocketError): Effect.Effect<boolean> {
    return Effect.match(step(error), { onSuccess: () => true, onFailure: () => false })
  }
}

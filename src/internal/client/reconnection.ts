/**
 * When a client dials again; `Reconnection` shows it to users.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"

/** The settings of `fullJitter`. @internal */
export interface FullJitter {
  /** The first delay is up to this, and doubles. Default 500 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** No delay is above this. Default 30 seconds. */
  readonly cap?: Duration.Input | undefined
}

/** @internal */
export const fullJitter = (options: FullJitter = {}): Schedule.Schedule<Duration.Duration> => {
  const cap = Duration.fromInputUnsafe(options.cap ?? "30 seconds")
  return Schedule.modifyDelay(
    Schedule.exponential(options.base ?? "500 millis"),
    ({ duration }) =>
      Effect.map(Random.next, (share) => Duration.millis(Duration.toMillis(Duration.min(duration, cap)) * share))
  )
}

/** @internal */
export const isRetryable = (error: SwaggerSocketError): boolean =>
  error.reason._tag !== "HandshakeRefused" || error.reason.retry

/** @internal */
export interface ReconnectionPolicy {
  /** Its input is how the last attempt failed, or the last connection ended. */
  readonly schedule: Schedule.Schedule<unknown, SwaggerSocketError>
  /** Whether to dial again at all after such an end. */
  readonly retry: (error: SwaggerSocketError) => boolean
}

/** @internal */
export const standard: ReconnectionPolicy = { schedule: fullJitter(), retry: isRetryable }

/** @internal */
export const Reconnection: Context.Reference<ReconnectionPolicy> = Context.Reference(
  "effect-swaggersocket/Reconnection",
  { defaultValue: () => standard }
)

/**
 * When a client dials again: exponential back-off with full jitter, until a refusal says that dialling again is useless.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import * as reconnection from "./internal/client/reconnection.ts"
import { readConfig } from "./internal/config/readConfig.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * Exponential back-off with full jitter: each delay is drawn evenly between 0 and `base * 2^n`, at most `cap`, so that
 * clients that were cut at once come back spread out.
 *
 * **Example** (Delays of any effect)
 *
 * ```ts
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 *
 * declare const upload: Effect.Effect<void, Error>
 *
 * export const patient = Effect.retry(
 *   upload,
 *   Reconnection.fullJitter({ base: "1 second", cap: "1 minute" }).pipe(Schedule.upTo({ times: 5 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category schedules
 */
export const fullJitter: (options?: {
  /** The first delay is up to this, and doubles. Default 500 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** No delay is above this. Default 30 seconds. */
  readonly cap?: Duration.Input | undefined
}) => Schedule.Schedule<Duration.Duration> = reconnection.fullJitter

/**
 * Full jitter from 500 milliseconds up to 30 seconds, for all errors that are worth it.
 *
 * **Example** (As usual, but not after a refusal of any kind)
 *
 * ```ts
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 *
 * export const shy = Reconnection.layer({
 *   retry: (error) => error.reason._tag !== "HandshakeRefused" && Reconnection.standard.retry(error)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: typeof Reconnection.Service = reconnection.standard

/**
 * How a client comes back after a failed attempt or a lost connection (PROTOCOL.md, "Losing a link"): `retry` decides
 * whether to dial again, and the `schedule` when. The schedule starts anew after a link that worked: one that lived for
 * 5 seconds, or on which a resumed connection has received something.
 *
 * **Example** (Logging why a client dials again)
 *
 * ```ts
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schedule from "effect/Schedule"
 *
 * export const Logged = Layer.effect(
 *   Reconnection.Reconnection,
 *   Effect.map(Reconnection.Reconnection, (policy) => ({
 *     ...policy,
 *     schedule: Schedule.tap(policy.schedule, ({ input }) => Effect.logInfo("dials again", input.message))
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Reconnection: Context.Reference<{
  /** Its input is how the last attempt failed, or the last connection ended. */
  readonly schedule: Schedule.Schedule<unknown, SwaggerSocketError>
  /** Whether to dial again at all after such an end. */
  readonly retry: (error: SwaggerSocketError) => boolean
}> = reconnection.Reconnection

/**
 * Whether dialling again can help. It can after every failure but a refusal that says otherwise.
 *
 * **Example** (A program that gives up when its client does)
 *
 * ```ts
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 *
 * export const exitCode = (error: SwaggerSocketError) => Reconnection.isRetryable(error) ? 75 : 78
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRetryable: (error: SwaggerSocketError) => boolean = reconnection.isRetryable

/**
 * Another reconnection for the clients made below this layer: the parts that are given.
 *
 * **Example** (Giving up after ten attempts)
 *
 * ```ts
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 * import * as Schedule from "effect/Schedule"
 *
 * export const reconnection = Reconnection.layer({
 *   schedule: Reconnection.fullJitter({ base: "100 millis", cap: "5 seconds" }).pipe(Schedule.upTo({ times: 10 }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  /** Its input is how the last attempt failed, or the last connection ended. */
  readonly schedule?: Schedule.Schedule<unknown, SwaggerSocketError> | undefined
  /** Whether to dial again after such an end. Default `isRetryable`. */
  readonly retry?: ((error: SwaggerSocketError) => boolean) | undefined
}): Layer.Layer<never> =>
  Layer.succeed(Reconnection, {
    schedule: options.schedule ?? standard.schedule,
    retry: options.retry ?? standard.retry
  })

/**
 * `layer` with the delays of `fullJitter` read from the configuration of the program.
 *
 * **Example** (A back-off of the environment)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Reconnection from "effect-swaggersocket/Reconnection"
 *
 * export const reconnection = Reconnection.layerConfig({
 *   cap: Config.Duration("MAX_BACKOFF").pipe(Config.withDefault("30 seconds"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<{
    /** The first delay is up to this, and doubles. Default 500 milliseconds. */
    readonly base?: Duration.Input | undefined
    /** No delay is above this. Default 30 seconds. */
    readonly cap?: Duration.Input | undefined
  }>
): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(readConfig(options, (options) => layer({ schedule: fullJitter(options) })))

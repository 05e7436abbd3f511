/**
 * Pings show that a connection is alive, measure its round-trip time and find links that died silently (PROTOCOL.md,
 * "Heartbeat"). Both ends send them by themselves.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readConfig } from "./internal/config/readConfig.ts"
import * as heartbeat from "./internal/connection/heartbeat.ts"
import type { Beat, HeartbeatLink, Options } from "./internal/connection/heartbeat.ts"
import * as parts from "./internal/connection/replaceableParts.ts"

export type { Beat, HeartbeatLink, Options } from "./internal/connection/heartbeat.ts"

/**
 * A heartbeat with the given options.
 *
 * **Gotchas**
 *
 * An interval or a timeout of 0 throws a `RangeError`.
 *
 * **Example** (Every two seconds, and a line in the log for each connection)
 *
 * ```ts
 * import * as Heartbeat from "effect-swaggersocket/Heartbeat"
 * import * as Effect from "effect/Effect"
 *
 * const quick = Heartbeat.make({ interval: "2 seconds", timeout: "2 seconds" })
 *
 * export const logged = Heartbeat.layer((link) =>
 *   Effect.tap(quick(link), () => Effect.logDebug("watching", link.connectionId))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: Options) => typeof Heartbeat.Service = heartbeat.make

/**
 * The default heartbeat: a ping every 25 seconds, a timeout of 20 seconds, no data and no hooks.
 *
 * **Example** (No pings at all)
 *
 * ```ts
 * import * as Heartbeat from "effect-swaggersocket/Heartbeat"
 * import * as Effect from "effect/Effect"
 *
 * export const trusting = Heartbeat.layer((link) =>
 *   Effect.map(Heartbeat.standard(link), (beat) => ({
 *     run: Effect.never,
 *     onPing: (data) => beat.onPing(data),
 *     onPong: (data) => beat.onPong(data)
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: typeof Heartbeat.Service = parts.standardHeartbeat

/**
 * Makes the heartbeat of each connection. The default pings every 25 seconds and gives up after 20 seconds of silence.
 *
 * **Example** (Counting pongs of whatever heartbeat there is)
 *
 * ```ts
 * import * as Heartbeat from "effect-swaggersocket/Heartbeat"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export let pongs = 0
 *
 * export const Counting = Layer.effect(
 *   Heartbeat.Heartbeat,
 *   Effect.map(Heartbeat.Heartbeat, (heartbeat) => (link) =>
 *     Effect.map(heartbeat(link), (beat) => ({
 *       run: beat.run,
 *       onPing: (data) => beat.onPing(data),
 *       onPong: (data) => {
 *         pongs++
 *         beat.onPong(data)
 *       }
 *     })))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Heartbeat: Context.Reference<(link: HeartbeatLink) => Effect.Effect<Beat>> = parts.Heartbeat

/**
 * Another heartbeat for the connections made below this layer: the standard one with options, or one of your own.
 *
 * **Example** (A quick heartbeat that reports its round-trip time)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Heartbeat from "effect-swaggersocket/Heartbeat"
 *
 * export const heartbeat = Heartbeat.layer({
 *   interval: "5 seconds",
 *   timeout: "3 seconds",
 *   onPong: ({ connectionId, roundTrip }) => Effect.logDebug("alive", connectionId, roundTrip)
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (heartbeat: Options | typeof Heartbeat.Service): Layer.Layer<never> =>
  Layer.succeed(Heartbeat, typeof heartbeat === "function" ? heartbeat : make(heartbeat))

/**
 * `layer` with settings that are read from the configuration of the program. A value that is missing or not above 0 is a
 * `ConfigError`.
 *
 * **Example** (An interval of the environment, and a hook)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 * import * as Heartbeat from "effect-swaggersocket/Heartbeat"
 *
 * export const heartbeat = Heartbeat.layerConfig({
 *   interval: Config.Duration("PING_INTERVAL").pipe(Config.withDefault("25 seconds")),
 *   onPong: Config.succeed(({ roundTrip }) => Effect.logDebug("alive", roundTrip))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(readConfig(options, layer))

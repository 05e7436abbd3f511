/**
 * Many HTTP exchanges on one connection: flow control, fairness, batching, cancellation and their limits
 * (PROTOCOL.md, "Streams" to "Cancellation").
 *
 * `Multiplexer` is a service with a default, the machine of wire v2; provide another to change how streams share a
 * connection. Both ends need it. `examples/own-parts.ts` has a small one.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as parts from "./internal/connection/replaceableParts.ts"
import type { Multiplexed } from "./internal/streams/multiplexed.ts"
import type { MultiplexerOptions } from "./internal/streams/options.ts"

export { ErrorCode } from "./internal/frame/codes.ts"
export type { Violation } from "./internal/frame/codes.ts"
export type { Fields, GoAway, Request } from "./internal/frame/Frame.ts"
export type { Multiplexed } from "./internal/streams/multiplexed.ts"
export type { MultiplexerHost, MultiplexerOptions } from "./internal/streams/options.ts"
export type { Counters, MultiplexerLimits, Settings } from "./internal/streams/settings.ts"
export type { HttpStream, StreamFailure, StreamHandler } from "./internal/streams/stream.ts"

/**
 * The default multiplexer, which speaks wire v2 of PROTOCOL.md; for multiplexers that add to it.
 *
 * **Gotchas**
 *
 * Members of `Multiplexed` may be replaced on the object that this returns. It has others of its own, such as `options`,
 * `streams` and `close`: keep what you add in variables, not on the object.
 *
 * **Example** (Telling why connections are given up)
 *
 * ```ts
 * import * as Multiplexer from "effect-swaggersocket/Multiplexer"
 *
 * export const watched = Multiplexer.layer((options) => {
 *   const multiplexer = Multiplexer.standard(options)
 *   const goAway = multiplexer.goAway.bind(multiplexer)
 *   return Object.assign(multiplexer, {
 *     goAway(code: number, reason: string, last?: boolean) {
 *       console.log(code, reason)
 *       goAway(code, reason, last)
 *     }
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: (options: MultiplexerOptions) => Multiplexed = parts.standardMultiplexer

/**
 * Makes the multiplexer of each connection on wire v2. Wire v1 has its own.
 *
 * **Example** (Smaller windows than the limits say)
 *
 * ```ts
 * import * as Multiplexer from "effect-swaggersocket/Multiplexer"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const Frugal = Layer.effect(
 *   Multiplexer.Multiplexer,
 *   Effect.map(Multiplexer.Multiplexer, (make) => (options) =>
 *     make({ ...options, limits: { ...options.limits, maxStreamWindow: options.local.streamWindow } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Multiplexer: Context.Reference<(options: MultiplexerOptions) => Multiplexed> = parts.Multiplexer

/**
 * Another multiplexer for the connections made below this layer.
 *
 * **Example** (Counting the messages of the standard one)
 *
 * ```ts
 * import * as Multiplexer from "effect-swaggersocket/Multiplexer"
 *
 * export let received = 0
 *
 * export const counting = Multiplexer.layer((options) => {
 *   const multiplexer = Multiplexer.standard(options)
 *   const receive = multiplexer.receive.bind(multiplexer)
 *   return Object.assign(multiplexer, {
 *     receive(message: Uint8Array | string) {
 *       received++
 *       return receive(message)
 *     }
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (multiplexer: typeof Multiplexer.Service): Layer.Layer<never> =>
  Layer.succeed(Multiplexer, multiplexer)

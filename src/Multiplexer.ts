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

export {
  /**
   * The codes of failures and violations (PROTOCOL.md, "Error codes").
   *
   * @since 0.1.0
   * @category constants
   */
  ErrorCode
} from "./internal/frame/errorCode.ts"

export type {
  /**
   * What the peer did wrong on a stream or the connection; `code` is an `ErrorCode`.
   *
   * @since 0.1.0
   * @category models
   */
  Violation
} from "./internal/frame/errorCode.ts"

export type {
  /**
   * Header fields, in order.
   *
   * @since 0.1.0
   * @category models
   */
  Fields,
  /**
   * The peer takes no more requests; those on its streams above `lastStreamId` were not processed.
   *
   * @since 0.1.0
   * @category models
   */
  GoAway,
  /**
   * A request of the peer. `end`: it has no body.
   *
   * @since 0.1.0
   * @category models
   */
  Request
} from "./internal/frame/Frame.ts"

export type {
  /**
   * What a connection does for its multiplexer: the methods are those of one object, and are called on it.
   *
   * @since 0.1.0
   * @category models
   */
  MultiplexerHost,
  /**
   * What a multiplexer is made with. Time and randomness are passed in, so that it has no runtime.
   *
   * @since 0.1.0
   * @category models
   */
  MultiplexerOptions
} from "./internal/streams/options.ts"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  Counters,
  /**
   * @since 0.1.0
   * @category models
   */
  MultiplexerLimits,
  /**
   * @since 0.1.0
   * @category models
   */
  Settings
} from "./internal/streams/settings.ts"

export type { Multiplexed } from "./internal/streams/multiplexed.ts"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  HttpStream,
  /**
   * @since 0.1.0
   * @category models
   */
  StreamFailure,
  /**
   * @since 0.1.0
   * @category models
   */
  StreamHandler
} from "./internal/streams/stream.ts"

/**
 * The default multiplexer, which speaks wire v2 of PROTOCOL.md; for multiplexers that add to it.
 *
 * **Gotchas**
 *
 * Members of `Multiplexed` may be replaced on the object that this returns. It has others of its own, such as `options`,
 * `streams` and `close`: keep what you add in variables, not on the object.
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: (options: MultiplexerOptions) => Multiplexed = parts.standardMultiplexer

/**
 * Makes the multiplexer of each connection on wire v2. Wire v1 has its own.
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

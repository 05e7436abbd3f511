/**
 * Many HTTP exchanges on one connection: flow control, fairness, batching, cancellation and their limits
 * (PROTOCOL.md, "Streams" to "Cancellation").
 *
 * `Multiplexer` is a service with a default, the machine of wire v2; provide another to change how streams share a
 * connection.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { Multiplexer as WireV2, type MultiplexerOptions } from "./internal/streams/multiplexer.ts"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  MultiplexerOptions
} from "./internal/streams/multiplexer.ts"

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

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  MuxStream,
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
 * What a connection needs of its multiplexer. It has no runtime: it is told of messages and asked for messages.
 *
 * @since 0.1.0
 * @category models
 */
export interface Multiplexed extends
  Pick<
    WireV2,
    | "active"
    | "cancelAll"
    | "consumed"
    | "counters"
    | "fail"
    | "finish"
    | "goAway"
    | "heard"
    | "linkLost"
    | "open"
    | "ping"
    | "receive"
    | "reset"
    | "respond"
    | "stopReading"
    | "unreadBytes"
    | "waitingForReaders"
    | "write"
  >
{
  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  readonly pull: (linkOnly?: boolean) => Uint8Array<ArrayBuffer> | string | undefined
  /**
   * Whether there is room for what the peer sends; `onReadable` of the options is called when there is again. Absent where the
   * peer needs credit for what it sends.
   */
  readonly isReadable?: () => boolean
}

/**
 * Makes the multiplexer of each connection on wire v2. Wire v1 has its own.
 *
 * @since 0.1.0
 * @category services
 */
export const Multiplexer: Context.Reference<(options: MultiplexerOptions) => Multiplexed> = Context.Reference<
  (options: MultiplexerOptions) => Multiplexed
>(
  "effect-swaggersocket/Multiplexer",
  { defaultValue: () => (options) => new WireV2(options) }
)

/**
 * Replaces the multiplexer of the connections made below this layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (make: typeof Multiplexer.Service): Layer.Layer<never> => Layer.succeed(Multiplexer, make)

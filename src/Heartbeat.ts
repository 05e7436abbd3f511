/**
 * Pings that keep a connection known to be alive, measure its round-trip time and find links that died silently
 * (PROTOCOL.md, "Heartbeat"). Both ends do it by themselves.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { maxPingLength } from "./internal/frame/grammar.ts"
import { HeartbeatTimeout, SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * The connection, as a heartbeat uses it.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeartbeatLink {
  readonly connectionId: string
  /** Sends a ping with application data. */
  readonly ping: (data: Uint8Array) => void
  /** How many messages were received so far. */
  readonly received: () => number
  /** Reports a measured round-trip time, in milliseconds. */
  readonly roundTrip: (millis: number) => void
  /** Runs a hook without waiting for it. */
  readonly fork: (effect: Effect.Effect<void>) => void
}

/**
 * A heartbeat of one connection: `run` goes on until the peer is found dead.
 *
 * @since 0.1.0
 * @category models
 */
export interface Beat {
  readonly run: Effect.Effect<never, SwaggerSocketError>
  /** A ping of the peer arrived; it is answered already. */
  readonly onPing: (data: Uint8Array) => void
  /** A pong arrived. */
  readonly onPong: (data: Uint8Array) => void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Between pings. Default 25 seconds: below the idle timeout of common proxies. */
  readonly interval?: Duration.Input | undefined
  /** Without any traffic for this long after a ping the link is dead. Default 20 seconds. */
  readonly timeout?: Duration.Input | undefined
  /** Application data of each ping, at most 125 bytes (more is cut). Default none. */
  readonly data?: Effect.Effect<Uint8Array> | undefined
  /** The peer's ping with its data. */
  readonly onPing?:
    | ((ping: { readonly connectionId: string; readonly data: Uint8Array }) => Effect.Effect<void>)
    | undefined
  /** The answer to this end's ping, with its data and the round-trip time. */
  readonly onPong?:
    | ((pong: {
      readonly connectionId: string
      readonly data: Uint8Array
      readonly roundTrip: Duration.Duration
    }) => Effect.Effect<void>)
    | undefined
}

const noData = new Uint8Array(0)

/**
 * A heartbeat with the given options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): typeof Heartbeat.Service => {
  const interval = Duration.fromInputUnsafe(options.interval ?? "25 seconds")
  const timeout = Duration.fromInputUnsafe(options.timeout ?? "20 seconds")
  const between = Duration.subtract(interval, timeout)
  const makeData = options.data ?? Effect.succeed(noData)
  return (link) =>
    Effect.map(Clock.Clock, (clock) => {
      /** When the ping was sent whose pong is awaited. */
      let sentAt: bigint | undefined = undefined
      // No generator: it would have its frame in every connection.
      const beat = (): Effect.Effect<never, SwaggerSocketError> =>
        Effect.flatMap(makeData, (data) => {
          const received = link.received()
          sentAt = clock.monotonicTimeNanosUnsafe()
          link.ping(data.subarray(0, maxPingLength))
          return Effect.flatMap(Effect.sleep(timeout), () =>
            link.received() === received
              ? Effect.fail(
                new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis: Duration.toMillis(timeout) }) })
              )
              : Effect.flatMap(Effect.sleep(between), beat))
        })
      return {
        run: Effect.flatMap(Effect.sleep(interval), beat),
        onPing(data) {
          if (options.onPing !== undefined) link.fork(options.onPing({ connectionId: link.connectionId, data }))
        },
        onPong(data) {
          if (sentAt === undefined) return
          const millis = Number(clock.monotonicTimeNanosUnsafe() - sentAt) / 1_000_000
          sentAt = undefined
          link.roundTrip(millis)
          if (options.onPong === undefined) return
          link.fork(options.onPong({ connectionId: link.connectionId, data, roundTrip: Duration.millis(millis) }))
        }
      }
    })
}

/**
 * Makes the heartbeat of each connection. The default pings every 25 seconds and gives up after 20 seconds of silence.
 *
 * @since 0.1.0
 * @category services
 */
export const Heartbeat: Context.Reference<(link: HeartbeatLink) => Effect.Effect<Beat>> = Context.Reference(
  "effect-swaggersocket/Heartbeat",
  { defaultValue: () => make() }
)

/**
 * Another heartbeat for the connections made below this layer.
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
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Heartbeat, make(options))

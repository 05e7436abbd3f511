/**
 * Every limit and timeout of a connection, with its default and why it has it (PROTOCOL.md, "Limits").
 *
 * `Limits` is a service with the defaults. `layer` sets some for all servers, clients and platform entries below it;
 * the option `limits` of one of them takes precedence.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import { readConfig } from "./internal/config/readConfig.ts"
import { mapSettings, minReplayBuffer, settingRanges } from "./internal/handshake/settings.ts"

/**
 * All limits, each with a value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /**
   * Bytes of a WebSocket message that this end accepts. Default 65,536: what this package sends at most. Range
   * 32,768-16,777,216.
   */
  readonly maxMessageSize: number
  /** Bytes of a frame that this end accepts. Default 32,768: room for a full head. Range 17,408-16,777,216. */
  readonly maxFrameSize: number
  /** Bytes of a head (target, and 32 + name + value of each field). Default 16,384, as most servers. */
  readonly maxHeadSize: number
  /**
   * Requests of the peer that may be in progress at once; the peer queues more by itself. Default 100, the least that
   * RFC 9113 recommends.
   */
  readonly maxConcurrentStreams: number
  /** Initial credit of a stream in bytes. Default 262,144: 50 Mbit/s at 40 ms before the window has grown. */
  readonly streamWindow: number
  /** Initial credit of the connection in bytes. Default 1,048,576. At least 65,535. */
  readonly connectionWindow: number
  /**
   * A stream's window grows up to this, and the windows of a connection's streams together grow by no more. Default 8
   * MiB.
   */
  readonly maxStreamWindow: number
  /** The connection's window grows up to this. Default 16 MiB. */
  readonly maxConnectionWindow: number
  /**
   * Bytes of unfinished bodies that may be unread before other streams are held back. Default 32 MiB: room for 96 readers
   * that stopped with full windows, and for all that windows may grow.
   */
  readonly maxUnread: number
  /** Bytes of recently used fields that this end remembers for the peer's heads. Default 4,096; 0 turns it off. */
  readonly headTableSize: number
  /**
   * 1: requests may be upgraded inside connections, to WebSockets and others, where the peer knows that too. Default 1; 0
   * turns it off.
   */
  readonly upgrade: number
  /** Bytes of a body that wait in this end for credit before its writer is suspended. Default 65,536. */
  readonly sendBuffer: number
  /** Resets that the peer may send per second, lasting. Default 200: a flood of them is an attack. */
  readonly resetsPerSecond: number
  /** Resets that the peer may send at once; never below `maxConcurrentStreams`. Default 1,000. */
  readonly resetBurst: number
  /**
   * Control frames (PING, PONG, ACK, CREDIT) that the peer may send per second, lasting, besides 10 for each frame that
   * this end sends and 1 for each 16 KiB that it receives. Default 1,000.
   */
  readonly controlPerSecond: number
  /** Control frames that the peer may send at once. Default 10,000. */
  readonly controlBurst: number
  /**
   * Requests of the peer that may be refused per second, lasting, because too many are in progress, nothing is served or
   * this end goes away. Beyond it the peer is read from so much slower. Default 1,000; at least 1.
   */
  readonly refusedPerSecond: number
  /** Requests of the peer that may be refused at once. Default 10,000. */
  readonly refusedBurst: number
  /** Answers provoked by the peer (pongs, resets) that wait to be written. Default 10,000. */
  readonly maxQueuedControl: number
  /**
   * How long a handshake may take, from the upgrade on, and each step of a client's attempt before it. Default 10 seconds. After an attempt
   * that took too long a client waits twice as long, and four times at most: a server with little time takes sockets in the
   * order in which they came.
   */
  readonly handshakeTimeout: Duration.Duration
  /** Bytes of a handshake message, metadata included. Default 65,536. */
  readonly maxHandshakeSize: number
  /**
   * How long a WebSocket message may take to arrive, or each 64 KiB of a longer one. The link of a slower peer is
   * dropped. Default 30 seconds. Read by `effect-swaggersocket/node`; elsewhere the heartbeat
   * notices a message of wire v2 that does not go on.
   */
  readonly messageTimeout: Duration.Duration
  /**
   * How long a connection whose link was lost waits to be resumed, on the end that has the shorter one. Default 2
   * minutes. 0: this end keeps no sessions, so that connections end with their link.
   */
  readonly resumeWindow: Duration.Duration
  /**
   * Bytes of messages that a connection keeps at most until the peer has acknowledged them; beyond that its writers
   * wait. Default 16 MiB: what is in flight at 1 Gbit/s and 130 ms. It begins with 1 MiB, and doubles when a peer that
   * acknowledges is held up by it. At least 32,768.
   */
  readonly replayBuffer: number
  /**
   * Bytes of bodies that all connections of a server, or those of a client, may hold because their peers don't take
   * them; connections that hold less than 1 MiB are not counted. Beyond it the connection that holds the most ends with
   * EXCESSIVE_LOAD. Default 1 GiB.
   */
  readonly maxUnsentBytes: number
  /**
   * How long a link may take nothing while messages wait to be written; then it is lost. Default 30 seconds. Any byte
   * that the operating system takes counts, so a slow reader stays. An operating system takes bytes in portions of up to
   * a third of its own buffer: raise the limit for links below some 2 KB a second. Not applied on wire v1, where a peer
   * that stops reading for a while has no way to say so.
   */
  readonly sendTimeout: Duration.Duration
  /**
   * How long a server's connection may have no call, in either direction, before it is drained.
   * Default `Infinity`: never. A client that stays connected dials again at once; of use for those that dial when they
   * have something to do. As gRPC's `MAX_CONNECTION_IDLE`. Not applied on wire v1, which has no drain.
   */
  readonly maxConnectionIdle: Duration.Duration
  /**
   * How old a server's connection may be, give or take 10 %, before it is drained: its client dials again, and may reach
   * another server of the same address. No call is lost; those in progress have until `drainTimeout`. Default
   * `Infinity`: any age. As gRPC's `MAX_CONNECTION_AGE`. Not applied on wire v1, which has no drain.
   */
  readonly maxConnectionAge: Duration.Duration
  /**
   * How long calls in progress, their answers included, may go on after either end said that it goes away, and when a
   * server, a client or an API stops. Default 30 seconds.
   */
  readonly drainTimeout: Duration.Duration
  /**
   * How long the closing handshake of a link may take. Also how long a drain waits, without any progress, for an
   * interrupted connection to be resumed, a silent peer to answer, or a response to be read; at least a second.
   * Default 5 seconds.
   */
  readonly closeTimeout: Duration.Duration
  /**
   * Bytes of a message that peers of wire v1 may send; Go sends an answer that its handler does not flush as one.
   * Default 16 MiB.
   */
  readonly v1MaxMessageSize: number
  /**
   * Bytes of a request with a body to a server of wire v1, its head included. Go's servers cut bodies beyond 1,016;
   * default 960, because the end of the handshake or a ping may share the buffer that this comes from.
   */
  readonly v1MaxRequestToServer: number
  /**
   * Bytes of a request with a body to a client of wire v1. Go's clients cut bodies beyond 4,092; default 3,960. What a
   * network delivers in parts may be cut sooner: 1,300 fits into one packet.
   */
  readonly v1MaxRequestToClient: number
  /**
   * How long the head of an answer to a peer of wire v1 may take, before it is answered 504 and the handler is
   * interrupted: a Go caller gives up after 10 seconds, and its process dies of an answer that comes later. Default 9
   * seconds.
   */
  readonly v1ResponseTimeout: Duration.Duration
  /**
   * How long a peer of wire v1 may take to end the answer of a call that was given up, which keeps the others waiting,
   * before the connection is dropped. Default 30 seconds.
   */
  readonly v1StallTimeout: Duration.Duration
}

/**
 * Limits that are set; for those that are left out the defaults hold. Durations may be texts, such as `"10 seconds"`.
 *
 * @since 0.1.0
 * @category models
 */
export type Options =
  & { readonly [K in keyof Limits as Limits[K] extends number ? K : never]?: number | undefined }
  & { readonly [K in keyof Limits as Limits[K] extends number ? never : K]?: Duration.Input | undefined }

/**
 * The default limits.
 *
 * **Example** (Twice the usual)
 *
 * ```ts
 * import * as Limits from "effect-swaggersocket/Limits"
 *
 * export const roomy = Limits.layer({ maxConcurrentStreams: 2 * Limits.defaults.maxConcurrentStreams })
 * ```
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: Limits = {
  ...mapSettings(([, , standard]) => standard),
  // Peers that don't announce it don't know it.
  upgrade: 1,
  maxStreamWindow: 8 * 1024 * 1024,
  maxConnectionWindow: 16 * 1024 * 1024,
  maxUnread: 32 * 1024 * 1024,
  sendBuffer: 65536,
  resetsPerSecond: 200,
  resetBurst: 1000,
  controlPerSecond: 1000,
  controlBurst: 10000,
  refusedPerSecond: 1000,
  refusedBurst: 10000,
  maxQueuedControl: 10000,
  handshakeTimeout: Duration.seconds(10),
  maxHandshakeSize: 65536,
  messageTimeout: Duration.seconds(30),
  resumeWindow: Duration.minutes(2),
  replayBuffer: 16 * 1024 * 1024,
  maxUnsentBytes: 1024 * 1024 * 1024,
  sendTimeout: Duration.seconds(30),
  maxConnectionIdle: Duration.infinity,
  maxConnectionAge: Duration.infinity,
  drainTimeout: Duration.seconds(30),
  closeTimeout: Duration.seconds(5),
  v1MaxMessageSize: 16 * 1024 * 1024,
  v1MaxRequestToServer: 960,
  v1MaxRequestToClient: 3960,
  v1ResponseTimeout: Duration.seconds(9),
  v1StallTimeout: Duration.seconds(30)
}

const ranges = {
  ...settingRanges,
  replayBuffer: [minReplayBuffer, Number.MAX_SAFE_INTEGER],
  refusedPerSecond: [1, Number.MAX_SAFE_INTEGER],
  // A writer that has to wait is woken when less waits.
  sendBuffer: [1, Number.MAX_SAFE_INTEGER]
} as const

/** A limit, the one that it must not exceed, and why. */
const relations = [
  ["maxHeadSize", "maxFrameSize", "a head is one frame"],
  ["maxFrameSize", "maxMessageSize", "a frame is in one message"]
] as const

/** The longest delay of a timer, in milliseconds. */
const longest = 2 ** 31 - 1

/**
 * Limits, with those of `base` for what `options` leaves out.
 *
 * **Gotchas**
 *
 * A value outside its range is a mistake of the program and throws a `RangeError`. So do `maxHeadSize` above
 * `maxFrameSize` and `maxFrameSize` above `maxMessageSize`: otherwise a head or frame that the one limit allows would
 * end the connection because of the other.
 *
 * **Example** (More streams, a shorter handshake)
 *
 * ```ts
 * import * as Limits from "effect-swaggersocket/Limits"
 *
 * export const limits = Limits.make({ maxConcurrentStreams: 1000, handshakeTimeout: "3 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}, base: Limits = defaults): Limits => {
  const limits: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (Duration.isDuration(limits[name])) {
      limits[name] = Duration.fromInputUnsafe(value)
      continue
    }
    const [least, most] = ranges[name as keyof typeof ranges] ?? [0, Number.MAX_SAFE_INTEGER]
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
      throw new RangeError(`Limits: ${name} must be a whole number from ${least} to ${most}, not ${String(value)}`)
    }
    limits[name] = value
  }
  const made = limits as unknown as Limits
  for (const [name, above, why] of relations) {
    if (made[name] <= made[above]) continue
    throw new RangeError(
      `Limits: ${name} (${made[name]}) is above ${above} (${made[above]}), and ${why}: raise ${above} or lower ${name}`
    )
  }
  return {
    ...made,
    // Announced in whole milliseconds.
    resumeWindow: Duration.millis(Math.min(Math.ceil(Duration.toMillis(made.resumeWindow)), longest)),
    resetBurst: Math.max(made.resetBurst, made.maxConcurrentStreams),
    maxStreamWindow: Math.max(made.maxStreamWindow, made.streamWindow),
    maxConnectionWindow: Math.max(made.maxConnectionWindow, made.connectionWindow)
  }
}

/**
 * The limits of servers, clients and platform entries that are given no others.
 *
 * **Example** (Which limits hold here)
 *
 * ```ts
 * import * as Limits from "effect-swaggersocket/Limits"
 * import * as Effect from "effect/Effect"
 *
 * export const largestMessage = Effect.map(Limits.Limits, (limits) => limits.maxMessageSize)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Limits: Context.Reference<Limits> = Context.Reference<Limits>("effect-swaggersocket/Limits", {
  defaultValue: () => defaults
})

/**
 * Limits for all servers, clients and platform entries that this layer is provided to. The option `limits` of one of
 * them takes precedence. Values that `options` leaves out are the defaults; those that are out of range or contradict
 * each other throw a `RangeError`, see `make`.
 *
 * **Example** (A hub whose devices send large heads: its server and its WebSockets take them)
 *
 * ```ts
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as Limits from "effect-swaggersocket/Limits"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" })).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 3000 })),
 *   Layer.provide(Limits.layer({ maxHeadSize: 100_000, maxFrameSize: 200_000, maxMessageSize: 200_000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Limits, make(options))

/**
 * `layer` with limits that are read from the configuration of the program. A value that is missing, out of range or
 * contradicts another one is a `ConfigError`.
 *
 * **Example** (More streams, if the environment says so)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Limits from "effect-swaggersocket/Limits"
 *
 * export const limits = Limits.layerConfig({
 *   maxConcurrentStreams: Config.Int("MAX_STREAMS").pipe(Config.withDefault(100)),
 *   resumeWindow: Config.Duration("RESUME_WINDOW").pipe(Config.withDefault("2 minutes"))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(readConfig(options, layer))

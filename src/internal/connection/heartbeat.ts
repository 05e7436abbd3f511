/**
 * The standard heartbeat of a connection (PROTOCOL.md, "Heartbeat"); `Heartbeat` shows it to users.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HeartbeatTimeout, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { maxPingLength } from "../frame/grammar.ts"
import * as hook from "../scheduling/hook.ts"
import { untilRead } from "../scheduling/turn.ts"

/**
 * The connection, as a heartbeat uses it.
 *
 * @since 0.1.0
 * @category models
 */
export interface HeartbeatLink {
  /** The id of the connection. */
  readonly connectionId: string
  /** Sends a ping with application data. */
  readonly ping: (data: Uint8Array) => void
  /** Changes with each sign of life: a message that was received, or bytes that a full link has taken. */
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
  /** Pings, until the peer is found dead: then it fails, usually with a `HeartbeatTimeout`. */
  readonly run: Effect.Effect<never, SwaggerSocketError>
  /** A ping of the peer arrived; it is answered already. */
  readonly onPing: (data: Uint8Array) => void
  /** A pong arrived. */
  readonly onPong: (data: Uint8Array) => void
}

/**
 * Settings of the standard heartbeat.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Between pings, whether or not they are answered. Default 25 seconds: below the idle timeout of common proxies. */
  readonly interval?: Duration.Input | undefined
  /**
   * Without any traffic for this long after a ping the link is dead. Default 20 seconds. It may be above the interval.
   * While more waits to be written than the link takes, a ping waits as well: bytes that the link takes count then.
   */
  readonly timeout?: Duration.Input | undefined
  /** Application data of each ping, at most 125 bytes (more is cut). Default none. */
  readonly data?: Effect.Effect<Uint8Array> | undefined
  /**
   * Runs for each ping of the peer, with its data. The hooks of a connection run one at a time; of the pings that
   * arrive meanwhile only the newest is kept. A defect of a hook is logged.
   */
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
 * If a timer fires this late, in milliseconds, the process did not run meanwhile. It then gets as long to read what has
 * arrived. A guess: a busy process is far less late, and usual timeouts are well above it.
 */
const stall = 1000

/** At most this many pings wait for their pongs. A peer that sends messages but never a pong would let the list grow. */
const maxAwaited = 64

const positive = (name: string, input: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (!(millis > 0)) throw new RangeError(`Heartbeat: ${name} must be above 0; without pings it is "Infinity"`)
  return millis
}

/** @internal */
export const make = (options: Options = {}): (link: HeartbeatLink) => Effect.Effect<Beat> => {
  const interval = positive("interval", options.interval ?? "25 seconds")
  const timeout = positive("timeout", options.timeout ?? "20 seconds")
  const complete = { ...options, interval, timeout, makeData: options.data ?? Effect.succeed(noData) }
  return (link) => Effect.map(Clock.Clock, (clock) => new StandardBeat(link, clock, complete))
}

interface BeatOptions {
  /** In milliseconds. */
  readonly interval: number
  readonly timeout: number
  readonly makeData: Effect.Effect<Uint8Array>
  readonly onPing?: Options["onPing"]
  readonly onPong?: Options["onPong"]
}

/** A class without generators: each connection keeps one, so it should hold little. */
class StandardBeat implements Beat {
  readonly #link: HeartbeatLink
  readonly #clock: Clock.Clock
  readonly #options: BeatOptions
  #nextPing: number
  /** When `run` wakes next, if the process runs. */
  #wakeAt = 0
  /** When the first ping was sent that nothing was received after; and the count of received messages at the last ping. */
  #silentSince: number | undefined
  #received = 0
  /**
   * When the unanswered pings were sent. With a usual interval there is only one, so the list is made when it is
   * needed.
   */
  #sentAt: number | undefined
  #laterSentAt: Array<number> | undefined
  #pingHook: ((effect: Effect.Effect<void>) => void) | undefined
  #pongHook: ((effect: Effect.Effect<void>) => void) | undefined

  constructor(link: HeartbeatLink, clock: Clock.Clock, options: BeatOptions) {
    this.#link = link
    this.#clock = clock
    this.#options = options
    this.#nextPing = this.#now + options.interval
  }

  get #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  get run(): Effect.Effect<never, SwaggerSocketError> {
    const beat = (): Effect.Effect<never, SwaggerSocketError> => {
      const { interval, makeData, timeout } = this.#options
      const now = this.#now
      if (this.#link.received() !== this.#received) this.#silentSince = undefined
      if (this.#silentSince !== undefined && now >= this.#silentSince + timeout) {
        if (now < this.#wakeAt + stall) return Effect.flatMap(untilRead, giveUp)
        // This process did not run, and what the peer has sent meanwhile may not have been read.
        this.#silentSince = now + Math.min(stall, timeout) - timeout
      }
      if (now < this.#nextPing) return wait()
      this.#nextPing = now + interval
      return Effect.flatMap(makeData, (data) => {
        this.#ping(data)
        return wait()
      })
    }
    const giveUp = (): Effect.Effect<never, SwaggerSocketError> => {
      if (this.#link.received() !== this.#received) return beat()
      const timeoutMillis = this.#options.timeout
      return Effect.fail(new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis }) }))
    }
    const wait = (): Effect.Effect<never, SwaggerSocketError> => {
      const silent = this.#silentSince === undefined ? Infinity : this.#silentSince + this.#options.timeout
      this.#wakeAt = Math.min(this.#nextPing, silent)
      return Effect.flatMap(Effect.sleep(Math.max(0, this.#wakeAt - this.#now)), beat)
    }
    return Effect.suspend(wait)
  }

  #ping(data: Uint8Array): void {
    const now = this.#now
    this.#received = this.#link.received()
    this.#silentSince ??= now
    if (this.#sentAt === undefined) this.#sentAt = now
    else if ((this.#laterSentAt ??= []).length < maxAwaited) this.#laterSentAt.push(now)
    this.#link.ping(data.subarray(0, maxPingLength))
  }

  onPing(data: Uint8Array): void {
    const { onPing } = this.#options
    if (onPing === undefined) return
    this.#pingHook ??= hook.make("Heartbeat.onPing", this.#link.fork)
    this.#pingHook(Effect.suspend(() => onPing({ connectionId: this.#link.connectionId, data })))
  }

  onPong(data: Uint8Array): void {
    if (this.#sentAt === undefined) return
    const millis = this.#now - this.#sentAt
    // Pongs come in the order of their pings.
    this.#sentAt = this.#laterSentAt?.shift()
    this.#link.roundTrip(millis)
    const { onPong } = this.#options
    if (onPong === undefined) return
    this.#pongHook ??= hook.make("Heartbeat.onPong", this.#link.fork)
    const roundTrip = Duration.millis(millis)
    this.#pongHook(Effect.suspend(() => onPong({ connectionId: this.#link.connectionId, data, roundTrip })))
  }
}

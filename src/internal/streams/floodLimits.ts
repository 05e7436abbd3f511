/**
 * Rate limits for frames that cost the peer little and this end much (PROTOCOL.md, "Limits").
 */
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { RateLimit } from "./rateLimit.ts"
import type { MultiplexerLimits } from "./settings.ts"

/**
 * For each frame that this end sends the peer may send so many control frames more. A peer that gives credit back for each DATA,
 * on the stream and on the connection, and acknowledges it, sends three; Envoy allows ten CREDITs for a DATA of HTTP/2.
 */
const controlPerFrame = 10
/** For so many bytes that this end receives the peer may send another one: a page pings each time when 128 KiB wait. */
const bytesPerControl = 16 * 1024

/** The longest pause, in milliseconds: less than the time after which a heartbeat takes a silent peer for dead. */
const maxPause = 1000

/** Each method counts one event. A violation ends the connection. @internal */
export class FloodLimits {
  readonly #limits: MultiplexerLimits
  readonly #now: () => number
  /** Made for the first frame of the kind. */
  #resets: RateLimit | undefined
  #emptyData: RateLimit | undefined
  #goAways: RateLimit | undefined
  #control: RateLimit | undefined
  #refused: RateLimit | undefined
  /** What the traffic so far has allowed the peer besides. */
  #earned = 0

  constructor(limits: MultiplexerLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  #make(perSecond: number, burst: number): RateLimit {
    return new RateLimit(perSecond, burst, this.#now)
  }

  /** The peer made this end throw work away: it reset a request, or sent one that can't be answered. */
  reset(): Violation | undefined {
    const { resetBurst, resetsPerSecond } = this.#limits
    return excess(this.#resets ??= this.#make(resetsPerSecond, resetBurst), "resets")
  }

  /** DATA without bytes and END, which no honest peer needs often. */
  emptyData(): Violation | undefined {
    return excess(this.#emptyData ??= this.#make(200, 1000), "empty DATA")
  }

  /** A drain and its end need two. */
  goAway(): Violation | undefined {
    return excess(this.#goAways ??= this.#make(10, 100), "GOAWAYs")
  }

  /**
   * PING, PONG, ACK or CREDIT. `framesSent`: frames of this end that carried something; `bytesReceived`: those of all messages. An
   * honest peer needs more of these frames the more is sent either way.
   */
  control(framesSent: number, bytesReceived: number): Violation | undefined {
    const { controlBurst, controlPerSecond } = this.#limits
    const limit = this.#control ??= this.#make(controlPerSecond, controlBurst)
    const earned = framesSent * controlPerFrame + bytesReceived / bytesPerControl
    limit.earn(earned - this.#earned)
    this.#earned = earned
    return excess(limit, "control frames")
  }

  /** A request was refused, for a reason that lies with this end: the peer is right to repeat it. */
  refused(): void {
    const { refusedBurst, refusedPerSecond } = this.#limits
    this.#refused ??= this.#make(refusedPerSecond, refusedBurst)
    this.#refused.owe()
  }

  /** How long the peer should not be read from, in milliseconds, as more of its requests were refused than may. */
  get pauseMillis(): number {
    return this.#refused === undefined ? 0 : Math.min(this.#refused.debtMillis, maxPause)
  }
}

const excess = (limit: RateLimit, what: string): Violation | undefined =>
  limit.take() ? undefined : violation(ErrorCode.EXCESSIVE_LOAD, `too many ${what}`)

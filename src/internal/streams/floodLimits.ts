/**
 * Rate limits for frames that cost the peer little and this end much (PROTOCOL.md, "Limits").
 */
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { RateLimit } from "./rateLimit.ts"
import type { MultiplexerLimits } from "./settings.ts"

/** Frames of DATA without bytes and END, which no honest peer needs often. */
const emptyData = { perSecond: 200, burst: 1000 }
/** GOAWAYs: a drain and its end need two. */
const goAways = { perSecond: 10, burst: 100 }

/**
 * Each method counts one event. A violation ends the connection.
 *
 * @internal
 */
export class FloodLimits {
  readonly #now: () => number
  readonly #resets: RateLimit
  /** Made for the first frame of the kind. */
  #emptyData: RateLimit | undefined = undefined
  #goAways: RateLimit | undefined = undefined

  constructor(limits: MultiplexerLimits, now: () => number) {
    this.#now = now
    this.#resets = new RateLimit(limits.resetsPerSecond, limits.resetBurst, now)
  }

  /** The peer made this end throw work away: it reset a request, or sent one that can't be answered. */
  reset(): Violation | undefined {
    return excess(this.#resets, "too many streams were reset")
  }

  /** DATA without bytes and END. */
  emptyData(): Violation | undefined {
    const { burst, perSecond } = emptyData
    return excess(this.#emptyData ??= new RateLimit(perSecond, burst, this.#now), "too much DATA was empty")
  }

  goAway(): Violation | undefined {
    const { burst, perSecond } = goAways
    return excess(this.#goAways ??= new RateLimit(perSecond, burst, this.#now), "too many GOAWAYs")
  }
}

const excess = (limit: RateLimit, reason: string): Violation | undefined =>
  limit.take() ? undefined : violation(ErrorCode.EXCESSIVE_LOAD, reason)

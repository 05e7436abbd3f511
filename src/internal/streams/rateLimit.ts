/**
 * A token bucket without a timer: tokens are counted when one is asked for.
 *
 * @internal
 */
export class RateLimit {
  #tokens: number
  #at: number
  readonly #burst: number
  readonly #perSecond: number
  readonly #now: () => number

  constructor(perSecond: number, burst: number, now: () => number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#now = now
    this.#tokens = burst
    this.#at = now()
  }

  /** `false`: the rate is exceeded. */
  take(): boolean {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) / 1000 * this.#perSecond)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

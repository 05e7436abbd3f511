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
    this.earn(0)
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  /** Takes a token, whether or not there is one. */
  owe(): void {
    this.earn(0)
    this.#tokens--
  }

  /** How long it takes, in milliseconds, until nothing is owed. */
  get debtMillis(): number {
    if (this.#tokens >= 0) return 0
    this.earn(0)
    return Math.max(0, -this.#tokens / this.#perSecond * 1000)
  }

  /** Adds those that time has brought, and so many more, as far as the burst. */
  earn(tokens: number): void {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + tokens + (now - this.#at) / 1000 * this.#perSecond)
    this.#at = now
  }
}

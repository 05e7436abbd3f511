/**
 * The round-trip time of a connection, as its handshakes and pings measure it, in milliseconds.
 */

/**
 * A handshake that takes less than this, in milliseconds, has measured the two programs rather than the path between them.
 * Until a ping measures better, the round trip counts as 0: a window that grows without need is a queue in which small calls
 * wait.
 */
const nearby = 15

/** @internal */
export class RoundTrip {
  /** As last measured. */
  last = 0
  /** The shortest so far: what the path takes without queues. */
  shortest = 0
  #pinged = false

  /** A handshake on a new link took `millis`. */
  shook(millis: number): void {
    this.last = millis
    if (!this.#pinged) this.shortest = millis < nearby ? 0 : millis
  }

  /** A ping took `millis`. */
  pinged(millis: number): void {
    this.last = millis
    // A ping waits behind whatever is queued, so the shortest one is nearest to the path.
    this.shortest = this.#pinged ? Math.min(this.shortest, millis) : millis
    this.#pinged = true
  }
}

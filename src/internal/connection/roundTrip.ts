/**
 * The round-trip time of a connection, as its handshakes and pings measure it, in milliseconds.
 */

/**
 * A handshake that takes less, in milliseconds, has measured the programs rather than the path between them. Until a ping
 * measures better the path counts as short: windows that grow for no reason are queues that small calls wait in.
 */
const nearby = 15

/** @internal */
export class RoundTrip {
  /** As last measured. */
  last = 0
  /** What the path takes, queues apart. */
  shortest = 0
  #pinged = false

  /** A handshake, on a new link, took so long. */
  shook(millis: number): void {
    this.last = millis
    if (!this.#pinged) this.shortest = millis < nearby ? 0 : millis
  }

  /** A ping took so long. */
  pinged(millis: number): void {
    this.last = millis
    // Queues make it longer than the path is.
    this.shortest = this.#pinged ? Math.min(this.shortest, millis) : millis
    this.#pinged = true
  }
}

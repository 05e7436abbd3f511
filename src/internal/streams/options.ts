/**
 * What a connection gives its multiplexer: options when it is made, and a host that it calls.
 */
import type { Violation } from "../frame/codes.ts"
import type { GoAway, Request } from "../frame/Frame.ts"
import type { MultiplexerLimits, Settings } from "./settings.ts"
import type { HttpStream } from "./stream.ts"

/**
 * What a multiplexer is made with. Time and randomness are passed in, so that it has no runtime.
 *
 * @since 0.1.0
 * @category models
 */
export interface MultiplexerOptions {
  /** The socket role of this end: whether it dialled. */
  readonly role: "client" | "server"
  /** What this end has announced. */
  readonly local: Settings
  /** What the peer has announced. */
  readonly remote: Settings
  /** Limits of this end that the peer need not know. */
  readonly limits: MultiplexerLimits
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** An integer that the peer can't know. */
  readonly seed: number
  /** Whether the frames so far have taken long enough, so that others have their turn: asked now and then. Absent: never. */
  readonly isTurnOver?: ((frames: number) => boolean) | undefined
  /** The connection. */
  readonly host: MultiplexerHost
}

/**
 * What a connection does for its multiplexer: the methods are those of one object, and are called on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface MultiplexerHost {
  /** A request of the peer: sets `stream.handler` before anything else, or answers why it is refused. */
  onRequest(stream: HttpStream, request: Request): Violation | undefined
  /** A ping of the peer, which the multiplexer has answered. */
  onPing(data: Uint8Array): void
  /** A pong of the peer, with the data of a ping. */
  onPong(data: Uint8Array): void
  /** The peer takes no more requests, or has found a fault. */
  onGoAway(frame: GoAway): void
  /** The peer has received so many counted messages; answers what is wrong with that. */
  onAck(received: number): Violation | undefined
  /**
   * There is something to `pull`: the connection pulls it at the end of this turn of the event loop. One call is enough until
   * the next `pull`.
   */
  onPending(): void
  /** Pulls what is pending now: the multiplexer has more to do in this turn, and the peer can begin with what is there. */
  flush(): void
  /** There may be room again for what the peer sends. Only of multiplexers that say when there is none (`isReadable`). */
  onReadable(): void
  /** So much more was written that what waits to be sent (`unsentBytes`) may be too much. */
  onUnsent(): void
  /** The last open stream has closed, and no request waits. */
  onIdle(): void
  /** The connection can't go on with its link, for a reason of this end. */
  onBroken(reason: string): void
  /** The round-trip time of the path, in milliseconds, once measured. */
  roundTrip(): number | undefined
  /** Runs something after so many milliseconds, unless the result is called before. */
  delay(millis: number, run: () => void): () => void
}

/**
 * What a connection needs of its multiplexer; `Multiplexer` shows it to users.
 */
import type { Violation } from "../frame/codes.ts"
import type { Fields } from "../frame/Frame.ts"
import type { MultiplexerOptions } from "./options.ts"
import type { Counters } from "./settings.ts"
import type { HttpStream, Outcome, StreamFailure, StreamHandler } from "./stream.ts"

/**
 * What a connection needs of its multiplexer. It has no runtime: it is told of messages and asked for messages, and
 * calls its host and the handlers of its streams.
 *
 * **Gotchas**
 *
 * With sessions, which are the default, messages are binary, and every message is kept until the peer has it but those
 * of the link alone, whose first byte is that of PING, PONG or ACK (0x10 to 0x12). ACKs are made by the session:
 * `receive` is given those of the peer, and reports them to `onAck`. The memory of a message belongs to the session
 * from `pull` on, and is used again. A handshake that agrees on no session, or `resumeWindow: 0` on either end, leaves
 * all of that out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Multiplexed {
  /** What it has done so far. */
  readonly counters: Counters
  /** Streams that are open, opened by this end and by the peer, and requests that wait to be sent. */
  readonly active: { readonly local: number; readonly remote: number; readonly waiting: number }
  /** Both ends know upgrades (PROTOCOL.md, "Upgrades"). Absent: they are not. */
  readonly upgrades?: boolean
  /** Grows with every sign of life of the peer. */
  readonly heard: number
  /** Bytes received that the application has not consumed. */
  readonly unreadBytes: number
  /**
   * How far bodies have come, in bytes, where every open stream has an answer that waits for its reader; `undefined`
   * where a handler is still at work, or where that is not known. A connection that is drained is closed when it stays
   * the same.
   */
  readonly waitingForReaders: number | undefined
  /**
   * Sends a request. `end`: it has no body. It waits when the peer allows no more streams now; one that can't be sent
   * at all is answered by a failure.
   */
  open(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    handler: StreamHandler
  ): HttpStream | StreamFailure
  /** Sends the head of the answer; of several only the first. A head that the peer would not take is answered. */
  respond(stream: HttpStream, status: number, fields: Fields, end: boolean): Violation | undefined
  /** Sends a part of a body; `false` asks the caller to wait for `onWritable`. The chunk is not changed any more. */
  write(stream: HttpStream, chunk: Uint8Array): boolean
  /** Ends a body. */
  finish(stream: HttpStream): void
  /** The application has taken `bytes` out of what `onData` gave it. */
  consumed(stream: HttpStream, bytes: number): void
  /**
   * So many of the bytes that the application has taken of a stream are kept until the rest has come: they count as unread
   * (`unreadBytes`), and cost no credit.
   */
  keep?(stream: HttpStream, bytes: number): void
  /** Ends a stream at once, for both ends. Its own handler is told nothing. */
  reset(stream: HttpStream, code: number, reason: string): void
  /** This end reads no more of the request, or of what was upgraded; what it sends goes on. */
  stopReading(stream: HttpStream): void
  /** Asks the peer for a pong with the same data, which `onPong` is told. */
  ping(data: Uint8Array): void
  /**
   * Tells the peer that no further requests are taken, or what it did wrong. `last`: the connection closes now, and
   * `pull` gives no more of bodies.
   */
  goAway(code: number, reason: string, last?: boolean): void
  /** Gives up all exchanges, of both ends, and tells the peer. */
  cancelAll(reason: string): void
  /** The connection is over: every stream fails; `outcome` is what is known of the requests that were sent. */
  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome?: Outcome): void
  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly?: boolean): Uint8Array<ArrayBuffer> | string | undefined
  /** The link was lost: what was queued for it alone is forgotten. */
  linkLost(): void
  /**
   * Takes a message in. A violation ends the connection. It may stop in between when the turn is over (`isTurnOver` of the
   * options), and then says so by `isReceiving`.
   */
  receive(message: Uint8Array | string): Violation | undefined
  /** A message was taken in only up to a point: `receiveRest` is called next. Absent: messages are taken in whole. */
  readonly isReceiving?: boolean
  /** Goes on with that message, in a later turn. A part of it at least is taken each time. */
  receiveRest?(): Violation | undefined
  /**
   * Whether there is room for what the peer sends; `onReadable` of the host is called when there is again. Absent
   * where the peer needs credit for what it sends.
   */
  isReadable?(): boolean
  /**
   * For so many milliseconds the peer should not be read from: more of its requests were refused than it may have refused at
   * once. Asked after each message.
   */
  readonly pauseMillis?: number
  /** Bytes of bodies that were written and wait to be sent; `onUnsent` of the host is called while they grow. */
  readonly unsentBytes?: number
}

/** Makes the multiplexer of a connection. @internal */
export type MakeMultiplexer = (options: MultiplexerOptions) => Multiplexed

/**
 * The credit that this end gives the peer, for the connection and for each stream (PROTOCOL.md, "Flow control").
 */
import { ReceiveWindow, type WindowTuning } from "./flowControl.ts"
import type { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import { type Outbound, smallFrame } from "./outbound.ts"
import type { MuxStream } from "./stream.ts"

/**
 * What two programs take to tell each other something, in milliseconds, however short the path is. Windows that don't allow
 * for it leave both waiting half of the time: bodies are 1.6 times as fast, streams of small items 1.9 times.
 */
const turns = 1
/** A stream's window grows no further for that: more would only be a longer queue. */
const turnsWindow = 1024 * 1024

const creditFrame = { size: smallFrame, provoked: true }

/**
 * `unread` is the sum of what the streams have unread, and `#growth` the sum of what their windows are larger than at first.
 * Both are given back when a stream ends.
 *
 * @internal
 */
export class ReceiveCredit {
  /** Bytes received that the application has not consumed. */
  unread = 0
  /** Bytes of bodies that the application has taken. */
  consumed = 0
  /** By how much the windows of open streams have grown; shared, so that readers that stop can't hold it many times. */
  #growth = 0
  readonly #maxUnread: number
  readonly #initial: number
  readonly #outbound: Outbound
  readonly #connection: ReceiveWindow
  readonly #tuning: WindowTuning

  constructor(options: MultiplexerOptions, streams: OpenStreams, outbound: Outbound) {
    const { host, limits, local, now } = options
    // More than the path's round trip where no other stream would wait behind that.
    const roundTrip = (window: number) => {
      const measured = host.roundTrip()
      return measured !== undefined && streams.size === 1 && window < turnsWindow
        ? Math.max(measured, turns)
        : measured
    }
    this.#maxUnread = limits.maxUnread
    this.#initial = local.streamWindow
    this.#outbound = outbound
    this.#connection = new ReceiveWindow(local.connectionWindow, {
      cap: limits.maxConnectionWindow,
      now,
      roundTrip,
      mayGrow: () => true
    })
    this.#tuning = {
      cap: limits.maxStreamWindow,
      now,
      roundTrip,
      mayGrow: (bytes) => {
        if (this.#growth + bytes > limits.maxStreamWindow) return false
        this.#growth += bytes
        return true
      }
    }
  }

  /** The window of a new stream. */
  open(): ReceiveWindow {
    return new ReceiveWindow(this.#initial, this.#tuning)
  }

  /** A stream has closed: others may grow instead. */
  close(stream: MuxStream): void {
    this.#growth -= stream.window.size - this.#initial
  }

  /** `false`: the peer sent more than the connection has credit for. What is not held is then granted again. */
  receive(bytes: number): boolean {
    return this.#connection.receive(bytes)
  }

  /** Bytes wait for the reader of a stream. `end`: they are its last. */
  hold(stream: MuxStream, bytes: number, end: boolean): void {
    stream.unread += bytes
    this.unread += bytes
    if (end) this.release(stream)
    this.grant()
  }

  /** The application has taken bytes of a stream. */
  take(stream: MuxStream, bytes: number): void {
    // Nothing is owed for a stream that ended: `release` has given all back.
    if (bytes === 0 || stream.unread === 0) return
    stream.unread -= bytes
    this.unread -= bytes
    this.consumed += bytes
    this.grant()
    this.#announce(stream.id, stream.window.grant(stream.unread))
  }

  /** A body that is complete, or will not be, holds no more bytes than its window had: it owes the connection nothing. */
  release(stream: MuxStream): void {
    this.unread -= stream.unread
    stream.unread = 0
  }

  /** Announces what the connection may have again. */
  grant(): void {
    // Unread bytes are charged only beyond a limit: a few readers that stopped must not stop the others.
    this.#announce(0, this.#connection.grant(Math.max(0, this.unread - this.#maxUnread)))
  }

  #announce(streamId: number, increment: number): void {
    if (increment > 0) this.#outbound.push({ _tag: "Credit", streamId, increment }, creditFrame)
  }
}

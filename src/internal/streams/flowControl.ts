/**
 * The credit that this end gives the peer, in bytes of DATA, for each stream and for the connection (PROTOCOL.md, "Flow control";
 * RFC 9113 section 5.2).
 */
import type { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import { type Outbound, smallFrame } from "./outbound.ts"
import type { MuxStream, ReceiveWindow } from "./stream.ts"

/** Beyond this a credit is an error of the peer. @internal */
export const maxCredit = 2147483647

/**
 * The least round-trip time that windows are made for, in milliseconds: two programs on one machine need as long to react to
 * each other. Without it both wait half of the time; with it bodies are 1.6 times as fast, and streams of small items 1.9 times.
 */
const turns = 1
/** Windows of more bytes don't grow for that reason: the bytes would only wait in a longer queue. */
const turnsWindow = 1024 * 1024

/** If half of a window lasts longer than both of these, a smaller window is enough. */
const slow = { roundTrips: 16, millis: 1000 }

const creditFrame = { size: smallFrame, provoked: true }

/**
 * The connection is given credit with a stream if a quarter of its window is used by then, and alone if three quarters are. Otherwise
 * each would be told of in a message of its own, at twice as many times.
 */
const early = 4
const late = 4 / 3

/** How the windows of one kind grow and shrink. @internal */
export interface WindowTuning {
  readonly initial: number
  /** The window doubles up to this. */
  readonly cap: number
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** The round-trip time that a window of so many bytes is to cover, in milliseconds, once one was measured. */
  readonly roundTrip: (window: number) => number | undefined
  /** Asks for so many more bytes of window, or gives some back; windows that share a budget may be refused. */
  readonly mayGrow: (bytes: number) => boolean
}

/**
 * Gives a window credit again, and returns the increment to announce, or 0. `unread`: bytes received that still occupy memory.
 *
 * Credit is given back in halves of the window: smaller grants would cost a frame each for no gain. `parts`: in these parts of it
 * instead, for a window that is told of together with another one. A window whose half is used up within two round trips is what
 * limits the sender, so it doubles. One that has grown and is used slowly halves again.
 *
 * @internal
 */
export const grant = (window: ReceiveWindow, unread: number, tuning: WindowTuning, parts = 2): number => {
  const credit = window.size - window.available - unread
  if (credit * parts < window.size) return 0
  const now = tuning.now()
  const roundTrip = tuning.roundTrip(window.size)
  // How long half of the window lasts.
  const lasts = ((now - window.lastGrant) * window.size) / (credit * 2)
  const change = roundTrip === undefined ? 0 : changeOf(window.size, credit, lasts, roundTrip, tuning)
  window.size += change
  window.lastGrant = now
  window.available += credit + change
  return credit + change
}

/** By how much a window becomes larger or smaller, half of which lasts for so long. */
const changeOf = (
  size: number,
  credit: number,
  lasts: number,
  roundTrip: number,
  { cap, initial, mayGrow }: WindowTuning
): number => {
  if (lasts < roundTrip * 2) {
    const growth = Math.min(size, cap - size)
    return mayGrow(growth) ? growth : 0
  }
  if (lasts < Math.max(roundTrip * slow.roundTrips, slow.millis)) return 0
  // By what the peer would be given at most: it loses nothing that it may send already.
  const shrinkage = Math.min(size - Math.max(initial, Math.ceil(size / 2)), credit)
  mayGrow(-shrinkage)
  return -shrinkage
}

/**
 * `unread` is the sum of the unread bytes of all streams, and `#growth` the sum of the bytes by which their windows have grown. A
 * stream that ends gives back its part of both.
 *
 * @internal
 */
export class ReceiveCredit {
  /** Bytes received that the application has not consumed. */
  unread = 0
  /** Bytes of bodies that the application has taken. */
  consumed = 0
  /** The window of the connection. */
  readonly connection: ReceiveWindow
  /** The limit for this is shared by all streams, so that many readers that stop can't hold a grown window each. */
  #growth = 0
  readonly #maxUnread: number
  readonly #outbound: Outbound
  readonly #ofConnection: WindowTuning
  readonly #ofStreams: WindowTuning

  constructor(options: MultiplexerOptions, streams: OpenStreams, outbound: Outbound) {
    const { host, limits, local, now } = options
    const { connectionWindow, streamWindow } = local
    // With several streams open, a larger window would make the others wait.
    const roundTrip = (window: number) => {
      const measured = host.roundTrip()
      return measured !== undefined && streams.size === 1 && window < turnsWindow
        ? Math.max(measured, turns)
        : measured
    }
    this.#maxUnread = limits.maxUnread
    this.#outbound = outbound
    this.connection = { size: connectionWindow, available: connectionWindow, lastGrant: -Infinity }
    this.#ofConnection = {
      initial: connectionWindow,
      cap: limits.maxConnectionWindow,
      now,
      roundTrip,
      mayGrow: () => true
    }
    this.#ofStreams = {
      initial: streamWindow,
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

  /** A stream has closed: others may grow instead. */
  close(stream: MuxStream): void {
    this.#growth -= stream.window.size - this.#ofStreams.initial
  }

  /** Bytes wait for the reader of a stream. `end`: they are its last. */
  hold(stream: MuxStream, bytes: number, end: boolean): void {
    stream.unread += bytes
    this.unread += bytes
    if (end) this.release(stream)
    this.grant()
  }

  /** The application has taken bytes of a stream. Nothing is owed for one that has ended: `release` has given all back. */
  take(stream: MuxStream, bytes: number): void {
    stream.unread -= bytes
    this.unread -= bytes
    this.consumed += bytes
    const increment = grant(stream.window, stream.unread, this.#ofStreams)
    this.grant(increment > 0 ? early : late)
    this.#announce(stream.id, increment)
  }

  /** A body that is complete, or will not be, holds no more bytes than its window had: it owes the connection nothing. */
  release(stream: MuxStream): void {
    this.unread -= stream.unread
    stream.unread = 0
  }

  /** Announces what the connection may have again. */
  grant(parts = late): void {
    // Unread bytes are charged only beyond a limit: a few readers that stopped must not stop the others.
    const held = Math.max(0, this.unread - this.#maxUnread)
    // What readers hold that stopped must not keep the rest of the window from being given back.
    this.#announce(0, grant(this.connection, held, this.#ofConnection, Math.max(parts, held > 0 ? 2 : 0)))
  }

  #announce(streamId: number, increment: number): void {
    if (increment > 0) this.#outbound.push({ _tag: "Credit", streamId, increment }, creditFrame)
  }
}

/**
 * The multiplexer of wire v2: many streams on one connection, as a machine without runtime, time or sockets.
 *
 * Messages from the peer go into `receive`; what is to be sent comes out of `pull`. Everything in between is state and
 * calls of `StreamHandler`s. The link's driver calls `pull` when `onPending` said so and the link has room.
 *
 * Each part calls only those below it. The first three are one object, a class above the other:
 *
 * ```text
 * Multiplexer      the connection as a whole
 * Inbound          what the peer sends; FloodLimits
 * Lifecycle        how streams begin and end, and what the application sends on them
 * ReceiveCredit    what the peer may send
 * Outbound         what waits to leave, and its messages
 * OpenStreams      streams and their ids
 * ```
 */
import * as ErrorCode from "../frame/ErrorCode.ts"
import { Inbound } from "./inbound.ts"
import { reasonFrame } from "./outbound.ts"
import type { Outcome, StreamFailure } from "./stream.ts"

/** @internal */
export class Multiplexer extends Inbound {
  /** Streams that are open, and requests that wait to be sent. */
  get active(): { readonly local: number; readonly remote: number; readonly waiting: number } {
    const { local, remote } = this.streams
    return { local, remote, waiting: this.outbound.waiting }
  }

  /** Grows with every sign of life of the peer. */
  get heard(): number {
    return this.counters.messagesReceived
  }

  /** Bytes received that the application has not consumed, or keeps. */
  get unreadBytes(): number {
    return this.credit.unread + this.kept
  }

  /**
   * How far bodies have come, where every open stream has an answer that waits for its reader: of the peer, or of this end.
   * `undefined` where a handler is still at work.
   */
  get waitingForReaders(): number | undefined {
    for (const stream of this.streams.toArray()) {
      const isUnread = stream.isLocal ? stream.unread > 0 : stream.buffered + stream.queued > 0
      if (!isUnread) return undefined
    }
    return this.credit.consumed + this.outbound.bodyBytes
  }

  /** Bytes of bodies that were written and wait to be sent. */
  get unsentBytes(): number {
    let bytes = 0
    for (const { buffered } of this.streams.toArray()) bytes += buffered
    for (const { buffered } of this.outbound.requests) bytes += buffered
    return bytes
  }

  ping(data: Uint8Array): void {
    this.outbound.pushLink({ _tag: "Ping", data }, false)
  }

  /** Announces that no further requests of the peer are taken. `last`: the connection closes, and nothing else follows. */
  goAway(code: number, reason: string, last = false): void {
    if (last) this.outbound.isClosing = true
    if (this.streams.isSealed && code === ErrorCode.NO_ERROR) return
    this.streams.isSealed = true
    this.outbound.push({ _tag: "GoAway", lastStreamId: this.streams.lastRemote, code, reason }, { size: reasonFrame })
  }

  /** Gives up all exchanges, of both ends, and tells the peer. */
  cancelAll(reason: string): void {
    const failure = { code: ErrorCode.CANCELLED, reason }
    this.failWaiting(failure)
    for (const stream of this.streams.toArray()) {
      this.sendReset(stream.id, failure.code, reason, false)
      this.failStream(stream, failure, "unknown")
    }
  }

  /** The connection is over: every stream fails; `outcome` is what is known of the requests that were sent. */
  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome: Outcome = "unknown"): void {
    if (this.outbound.closedBy?.by === "connection") return
    this.outbound.closedBy = { ...failure, by: "connection", outcome: "not-sent" }
    this.streams.isSealed = true
    this.outbound.clear()
    this.failWaiting(failure)
    for (const stream of this.streams.toArray()) this.failStream(stream, failure, outcome)
  }

  /** The link was lost: what was queued for it alone is forgotten. */
  linkLost(): void {
    this.outbound.clearLink()
  }
}

/**
 * The multiplexer of wire v2: many streams on one connection, as a machine without runtime, time or sockets.
 *
 * Messages from the peer go into `receive`; what is to be sent comes out of `pull`. Everything in between is state and
 * calls of `StreamHandler`s. The link's driver calls `pull` when `onPending` said so and the link has room.
 *
 * Each part calls only those below it. The first, second and fourth are one object, a class above the other:
 *
 * ```text
 * Multiplexer      what the application does
 * Inbound          what the peer sends; FloodLimits
 * MessageWriter    packs what waits into messages
 * Lifecycle        what streams share, how they begin and end
 * ReceiveCredit    what the peer may send
 * WaitingRequests  requests without a stream
 * Outbound         what waits to leave
 * OpenStreams      streams and their ids
 * ```
 */
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { headSize } from "../frame/head.ts"
import { Inbound } from "./inbound.ts"
import { MessageWriter } from "./messageWriter.ts"
import type { MultiplexerOptions } from "./options.ts"
import { reasonFrame, smallFrame } from "./outbound.ts"
import { unsentStep } from "./settings.ts"
import { leaving, type MuxStream, type Outcome, type StreamFailure, type StreamHandler } from "./stream.ts"

/** @internal */
export class Multiplexer extends Inbound {
  readonly #writer: MessageWriter
  /** Bytes written since it was looked how much waits. */
  #written = 0

  constructor(options: MultiplexerOptions) {
    super(options)
    this.#writer = new MessageWriter(this)
  }

  /** Streams that are open, and requests that wait to be sent. */
  get active(): { readonly local: number; readonly remote: number; readonly waiting: number } {
    const { local, remote } = this.streams
    return { local, remote, waiting: this.waiting.size }
  }

  /** Grows with every sign of life of the peer. */
  get heard(): number {
    return this.counters.messagesReceived
  }

  /** Bytes received that the application has not consumed. */
  get unreadBytes(): number {
    return this.credit.unread
  }

  /**
   * How far bodies have come, where every open stream has an answer that waits for its reader: of the peer, or of this end.
   * `undefined` where a handler is still at work.
   */
  get waitingForReaders(): number | undefined {
    for (const stream of this.streams.toArray()) {
      const isUnread = this.streams.isLocal(stream.id)
        ? stream.remote === "body" && stream.unread > 0
        : stream.local === "body" && stream.buffered + stream.queued > 0
      if (!isUnread) return undefined
    }
    return this.credit.consumed + this.#writer.bodyBytes
  }

  /** Bytes of bodies that were written and wait to be sent. */
  get unsentBytes(): number {
    let bytes = 0
    for (const { buffered } of this.streams.toArray()) bytes += buffered
    for (const { buffered } of this.waiting.toArray()) bytes += buffered
    return bytes
  }

  // --- what the application does -----------------------------------------------------------------------------------

  /**
   * Opens a stream. It waits when the peer allows no more streams now. A request that can't be sent at all is
   * answered by a failure.
   */
  open(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    handler: StreamHandler
  ): MuxStream | StreamFailure {
    const { closedBy } = this.waiting
    if (closedBy !== undefined) return { ...closedBy, outcome: "not-sent" }
    if (this.outbound.isClosing) return leaving
    const head = headSize(target, fields)
    const size = head + smallFrame + method.length
    const tooLarge = this.#tooLarge(head, size)
    if (tooLarge !== undefined) return { ...tooLarge, by: "local", outcome: "not-sent" }
    const request = { method, target, fields, end, size }
    const stream = this.make(0, handler, fields, request, end ? "end" : "body", "head")
    this.waiting.add(stream)
    return stream
  }

  /** Sends the head of the answer. A head that the peer would not take resets the stream, and is answered. */
  respond(stream: MuxStream, status: number, fields: Fields, end: boolean): Violation | undefined {
    if (stream.local !== "head") return undefined
    const head = headSize("", fields)
    const size = head + smallFrame
    const tooLarge = this.#tooLarge(head, size)
    if (tooLarge !== undefined) {
      this.reset(stream, ErrorCode.INTERNAL_ERROR, tooLarge.reason)
      return tooLarge
    }
    stream.local = "body"
    stream.finished = end
    // Its END counts when it is written: else a peer that reads nothing could open streams, and have answers queued,
    // without end.
    this.outbound.push({ _tag: "Response", streamId: stream.id, end, status, fields }, {
      size,
      stream,
      end
    })
    return undefined
  }

  /** Whether the peer would not take a head: a head is one frame, and that is in one message. */
  #tooLarge(head: number, frame: number): Violation | undefined {
    const { maxFrameSize, maxHeadSize, maxMessageSize } = this.options.remote
    const maxFrame = Math.min(maxFrameSize, maxMessageSize)
    return head > maxHeadSize || frame > maxFrame
      ? violation(
        ErrorCode.HEAD_TOO_LARGE,
        `the head has ${head} bytes, the peer takes ${Math.min(maxHeadSize, maxFrame)}`
      )
      : undefined
  }

  /** Queues body bytes; `false` asks the caller to wait for `onWritable`. */
  write(stream: MuxStream, chunk: Uint8Array): boolean {
    if (stream.local !== "body" || stream.finished) return true
    if (chunk.length > 0) {
      stream.push(chunk)
      this.#countWritten(chunk.length)
      this.outbound.ready(stream)
    }
    if (stream.buffered < this.options.limits.sendBuffer) return true
    stream.blocked = true
    return false
  }

  #countWritten(bytes: number): void {
    this.#written += bytes
    if (this.#written < unsentStep) return
    this.#written = 0
    this.options.host.onUnsent()
  }

  /** Ends the body; END goes with its last bytes. */
  finish(stream: MuxStream): void {
    if (stream.local !== "body" || stream.finished) return
    stream.finished = true
    if (stream.buffered === 0 && stream.id !== 0) this.outbound.pushEnd(stream)
    else this.outbound.ready(stream)
  }

  /** The application has taken `bytes` out of what `onData` gave it. */
  consumed(stream: MuxStream, bytes: number): void {
    this.credit.take(stream, bytes)
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
    if (this.waiting.closedBy?.by === "connection") return
    this.waiting.closedBy = { ...failure, by: "connection", outcome: "not-sent" }
    this.streams.isSealed = true
    this.outbound.clear()
    this.failWaiting(failure)
    for (const stream of this.streams.toArray()) this.failStream(stream, failure, outcome)
  }

  // --- what the link sends -----------------------------------------------------------------------------------------

  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly = false): Uint8Array<ArrayBuffer> | undefined {
    return this.#writer.pull(linkOnly)
  }

  /** The link was lost: what was queued for it alone is forgotten. */
  linkLost(): void {
    this.outbound.clearLink()
  }
}

/**
 * The life of each stream: how it begins, what the application sends on it, and every way in which it ends. What a stream holds
 * of shared credit, queues and counts is given back here, once.
 */
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields, Request } from "../frame/Frame.ts"
import { headSize } from "../frame/head.ts"
import { ReceiveCredit } from "./flowControl.ts"
import { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import { Outbound, reasonFrame, smallFrame } from "./outbound.ts"
import { type Counters, unsentStep, zeroCounters } from "./settings.ts"
import { accepted, requested, type StreamState } from "./state.ts"
import {
  ignoring,
  leaving,
  MuxStream,
  type Outcome,
  type RequestHead,
  type StreamFailure,
  type StreamHandler
} from "./stream.ts"

/**
 * Invariant: a stream that is closed is in no table and no queue, and has nothing unread and nothing to send.
 *
 * @internal
 */
export class Lifecycle {
  readonly counters: Counters = zeroCounters()
  protected readonly options: MultiplexerOptions
  protected readonly streams: OpenStreams
  protected readonly outbound: Outbound
  protected readonly credit: ReceiveCredit
  /** Both ends know upgrades. */
  readonly upgrades: boolean
  /** Bytes that were consumed and are kept by the application, of all streams. */
  protected kept = 0
  /** Bytes written since the last `onUnsent`. */
  #written = 0

  constructor(options: MultiplexerOptions) {
    this.options = options
    this.upgrades = options.local.upgrade === 1 && options.remote.upgrade === 1
    this.streams = new OpenStreams(options.role, options.seed)
    this.outbound = new Outbound(options, this.streams, this.counters)
    this.credit = new ReceiveCredit(options, this.streams, this.outbound)
  }

  // --- streams begin -------------------------------------------------------------------------------------------------

  /**
   * Opens a stream. The request waits while the peer allows no more streams. For one that can't be sent at all, the failure is
   * returned.
   */
  open(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    handler: StreamHandler
  ): MuxStream | StreamFailure {
    const { closedBy } = this.outbound
    if (closedBy !== undefined) return { ...closedBy, outcome: "not-sent" }
    if (this.outbound.isClosing) return leaving
    const head = headSize(target, fields)
    const size = head + smallFrame + method.length
    const tooLarge = this.#tooLarge(head, size)
    if (tooLarge !== undefined) return { ...tooLarge, by: "local", outcome: "not-sent" }
    const request = { method, target, fields, end, size }
    const stream = this.#make(0, handler, end ? requested.endSent : requested, request, request)
    this.outbound.pushRequest(stream)
    return stream
  }

  /** Opens a stream for a request of the peer. */
  protected accept(request: Request): MuxStream {
    const state = request.end ? accepted.endReceived! : accepted
    const stream = this.#make(request.streamId, ignoring, state, request, undefined)
    this.streams.add(stream)
    this.counters.streamsAccepted++
    return stream
  }

  #make(
    id: number,
    handler: StreamHandler,
    state: StreamState,
    { end, fields, method }: Pick<Request, "end" | "fields" | "method">,
    request: RequestHead | undefined
  ): MuxStream {
    const { local, remote } = this.options
    return new MuxStream({
      id,
      handler,
      state,
      fields,
      mayUpgrade: this.upgrades && !end && method !== "HEAD",
      request,
      credit: remote.streamWindow,
      window: local.streamWindow
    })
  }

  // --- what the application sends --------------------------------------------------------------------------------------

  /** Sends the head of the answer. If the peer would not accept it, the stream is reset, and the reason is returned. */
  respond(stream: MuxStream, status: number, fields: Fields, end: boolean): Violation | undefined {
    const { state } = stream
    if (state.local !== "head") return undefined
    const head = headSize("", fields)
    const size = head + smallFrame
    const tooLarge = this.#tooLarge(head, size)
    if (tooLarge !== undefined) {
      this.reset(stream, ErrorCode.INTERNAL_ERROR, tooLarge.reason)
      return tooLarge
    }
    // The stream stays open until END is written. Otherwise a peer that reads nothing could open new streams, and have answers
    // queued, without limit.
    stream.state = end ? state.written : state.headSent
    this.outbound.push({ _tag: "Response", streamId: stream.id, end, status, fields }, { size, stream, end })
    return undefined
  }

  /** Why the peer would not accept a head, if so. A head is one frame, and a frame is in one message. */
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

  /** Queues bytes of a body. `false`: the caller should wait for `onWritable`. */
  write(stream: MuxStream, chunk: Uint8Array): boolean {
    if (stream.state.local !== "body") return true
    if (chunk.length > 0) {
      stream.push(chunk)
      this.#written += chunk.length
      if (this.#written >= unsentStep) {
        this.#written = 0
        this.options.host.onUnsent()
      }
      this.outbound.ready(stream)
    }
    if (stream.buffered < this.options.limits.sendBuffer) return true
    stream.blocked = true
    return false
  }

  /** Ends the body; END goes with its last bytes. */
  finish(stream: MuxStream): void {
    if (stream.state.local !== "body") return
    stream.state = stream.state.written
    if (stream.buffered === 0 && stream.id !== 0) this.outbound.pushEnd(stream)
  }

  /** The application has taken `bytes` out of what `onData` gave it. */
  consumed(stream: MuxStream, bytes: number): void {
    if (bytes > 0 && stream.unread > 0) this.credit.take(stream, bytes)
  }

  /** The application keeps so many of these bytes until the rest has come. */
  keep(stream: MuxStream, bytes: number): void {
    const kept = stream.state.isClosed ? 0 : bytes
    this.kept += kept - stream.kept
    stream.kept = kept
  }

  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly = false): Uint8Array<ArrayBuffer> | undefined {
    const { outbound } = this
    const message = outbound.pull(linkOnly)
    const { changed } = outbound
    if (changed.length > 0) {
      outbound.changed = []
      for (const stream of changed) {
        if (stream.state.local === "end") this.closeIfEnded(stream)
        else stream.handler.onWritable()
      }
    }
    return message
  }

  // --- streams end -----------------------------------------------------------------------------------------------------

  /** To be called when one direction has ended: gives back what the stream holds if the other has ended, too. */
  protected closeIfEnded(stream: MuxStream): void {
    const { state } = stream
    if (state.isClosed) this.#forget(stream)
    else if (state.handler === "done" && state.local === "end") this.reset(stream, ErrorCode.NO_ERROR, "")
  }

  /** The handler of a request has ended, and reads no more. If the request body goes on, it is reset once the answer has left. */
  stopReading(stream: MuxStream): void {
    const { state } = stream
    if (state.handler === "lingering") this.streams.lingering--
    stream.state = state.handlerDone
    this.closeIfEnded(stream)
  }

  /** This end ends a stream. A request that was not sent yet is forgotten without a frame. */
  reset(stream: MuxStream, code: number, reason: string): void {
    if (stream.state.isClosed) return
    if (stream.id !== 0) this.sendReset(stream.id, code, reason, false)
    this.close(stream)
  }

  /** `provoked`: the peer has caused it, and could cause many. */
  protected sendReset(streamId: number, code: number, reason: string, provoked: boolean): undefined {
    this.counters.resetsSent++
    this.streams.remember(streamId)
    this.outbound.push({ _tag: "Reset", streamId, code, reason }, { size: reasonFrame, provoked })
  }

  /** A stream fails, unless it is closed. */
  protected failStream(
    stream: MuxStream,
    failure: Omit<StreamFailure, "outcome" | "by">,
    outcome: Outcome,
    by: StreamFailure["by"] = "connection"
  ): void {
    if (!stream.state.isClosed) this.abort(stream, { ...failure, by, outcome })
  }

  /** All requests that wait fail. */
  protected failWaiting(failure: Omit<StreamFailure, "outcome" | "by">, by?: StreamFailure["by"]): void {
    for (const stream of this.outbound.takeRequests()) this.failStream(stream, failure, "not-sent", by)
  }

  /** Ends a stream, and tells its handler, even if both directions have ended. */
  protected abort(stream: MuxStream, failure: StreamFailure): void {
    this.close(stream)
    if (stream.state.handler === "running") this.streams.lingering++
    stream.state = stream.state.failed
    stream.handler.onFailure(failure)
  }

  /** Ends a stream in both directions. Its handler is not told. */
  protected close(stream: MuxStream): void {
    stream.state = stream.state.closed
    stream.dropBuffered()
    if (stream.queued > 0) this.outbound.drop(stream)
    this.credit.release(stream)
    this.credit.grant()
    this.#forget(stream)
  }

  #forget(stream: MuxStream): void {
    const { options, outbound, streams } = this
    if (stream.kept > 0) this.keep(stream, 0)
    if (stream.id === 0) return outbound.forgetRequest(stream)
    if (!streams.delete(stream)) return
    this.credit.close(stream)
    if (stream.isLocal && outbound.waiting > 0) outbound.resume()
    if (streams.size === 0 && outbound.waiting === 0) options.host.onIdle()
  }
}

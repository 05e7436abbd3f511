/**
 * What the streams of a connection share, how they begin, and every way in which they end. What a stream held is given back
 * here, once.
 */
import { ErrorCode } from "../frame/errorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import { Outbound, reasonFrame } from "./outbound.ts"
import { urgencyOf } from "./priority.ts"
import { ReceiveCredit } from "./receiveCredit.ts"
import { type Counters, zeroCounters } from "./settings.ts"
import type { Half } from "./state.ts"
import { MuxStream, type Outcome, type RequestHead, type StreamFailure, type StreamHandler } from "./stream.ts"
import { WaitingRequests } from "./waitingRequests.ts"

/**
 * A stream that is closed is neither open nor waiting, has nothing unread and nothing to send.
 *
 * @internal
 */
export class Lifecycle {
  readonly counters: Counters = zeroCounters()
  readonly options: MultiplexerOptions
  readonly streams: OpenStreams
  readonly outbound: Outbound
  readonly waiting: WaitingRequests
  readonly credit: ReceiveCredit

  constructor(options: MultiplexerOptions) {
    this.options = options
    this.streams = new OpenStreams(options)
    this.outbound = new Outbound(options)
    this.waiting = new WaitingRequests(options, this.streams, this.outbound)
    this.credit = new ReceiveCredit(options, this.streams, this.outbound)
  }

  /** A new stream, which is neither open nor waiting yet. `id`: 0 of a request of this end. */
  make(
    id: number,
    handler: StreamHandler,
    fields: Fields,
    request: RequestHead | undefined,
    local: Half,
    remote: Half
  ): MuxStream {
    return new MuxStream({
      id,
      handler,
      urgency: urgencyOf(fields),
      sendCredit: this.options.remote.streamWindow,
      window: this.credit.open(),
      request,
      local,
      remote
    })
  }

  /** END of a stream was written. */
  sentEnd(stream: MuxStream): void {
    if (stream.local === "end") return
    stream.local = "end"
    this.closeIfEnded(stream)
  }

  /** After the end of a half. */
  closeIfEnded(stream: MuxStream): void {
    if (stream.isClosed) this.#forget(stream)
    else if (stream.unwanted && stream.local === "end") this.reset(stream, ErrorCode.NO_ERROR, "")
  }

  /** The responder has done all it will, and reads no more: the peer is told once the answer has gone. */
  stopReading(stream: MuxStream): void {
    this.streams.handlerDone(stream)
    if (!stream.isClosed && stream.local === "end") this.closeIfEnded(stream)
  }

  /** This end ends a stream. A request that was not sent yet is forgotten without a frame. */
  reset(stream: MuxStream, code: number, reason: string): void {
    if (stream.isClosed) return
    if (stream.id !== 0) this.sendReset(stream.id, code, reason, false)
    this.close(stream)
  }

  /** `provoked`: by something that the peer sent. */
  sendReset(streamId: number, code: number, reason: string, provoked: boolean): undefined {
    this.counters.resetsSent++
    this.streams.remember(streamId)
    this.outbound.push({ _tag: "Reset", streamId, code, reason }, { size: reasonFrame, provoked })
  }

  /** A stream fails, unless it is closed. */
  failStream(
    stream: MuxStream,
    failure: Omit<StreamFailure, "outcome" | "by">,
    outcome: Outcome,
    by: StreamFailure["by"] = "connection"
  ): void {
    if (!stream.isClosed) this.abort(stream, { ...failure, by, outcome })
  }

  /** All requests that wait fail. */
  failWaiting(failure: Omit<StreamFailure, "outcome" | "by">, by?: StreamFailure["by"]): void {
    for (const stream of this.waiting.takeAll()) this.failStream(stream, failure, "not-sent", by)
  }

  /** Its handler is told, even where both halves have ended. */
  abort(stream: MuxStream, failure: StreamFailure): void {
    this.close(stream)
    this.streams.linger(stream)
    stream.handler.onFailure(failure)
  }

  /** Ends both halves. Its handler is told nothing. */
  close(stream: MuxStream): void {
    stream.local = "end"
    stream.remote = "end"
    stream.dropBuffered()
    if (stream.queued > 0) this.outbound.drop(stream)
    this.credit.release(stream)
    this.credit.grant()
    this.#forget(stream)
  }

  #forget(stream: MuxStream): void {
    if (stream.id === 0) return this.waiting.forget(stream)
    if (!this.streams.delete(stream)) return
    this.credit.close(stream)
    if (this.streams.isLocal(stream.id)) this.waiting.resume()
    if (this.streams.size === 0 && this.waiting.size === 0) this.options.host.onIdle()
  }
}

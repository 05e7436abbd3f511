/**
 * The multiplexer of wire v2: many streams on one connection, as a machine without runtime, time or sockets.
 *
 * Messages from the peer go into `receive`; what is to be sent comes out of `pull`. Everything in between is state and
 * calls of `StreamHandler`s. The link's driver calls `pull` when `onPending` said so and the link has room.
 */
import * as MutableList from "effect/MutableList"
import { Decoder } from "../frame/decoder.ts"
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { Credit, Data, Decoded, Fields, GoAway, Malformed, Request, Reset, Response } from "../frame/Frame.ts"
import { headSize } from "../frame/head.ts"
import { ReceiveWindow, type WindowTuning } from "./flowControl.ts"
import { Outbound, type OutboundSource, reasonFrame, smallFrame } from "./outbound.ts"
import { urgencyOf } from "./priority.ts"
import { RateLimit } from "./rateLimit.ts"
import { type Counters, type MultiplexerLimits, type Settings, unsentStep, zeroCounters } from "./settings.ts"
import { afterData, afterHead } from "./state.ts"
import {
  type HttpStream,
  ignoring,
  leaving,
  MuxStream,
  nothing,
  type Outcome,
  type RequestHead,
  type StreamFailure,
  type StreamHandler
} from "./stream.ts"
import { StreamTable } from "./streamTable.ts"

/** @internal */
export interface MultiplexerOptions {
  readonly role: "client" | "server"
  readonly local: Settings
  readonly remote: Settings
  readonly limits: MultiplexerLimits
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** An integer that the peer can't know. */
  readonly seed: number
  /** In milliseconds, once measured. */
  readonly roundTrip: () => number | undefined
  /** A request of the peer: sets `stream.handler` before anything else, or answers why it is refused. */
  readonly onRequest: (stream: HttpStream, request: Request) => Violation | undefined
  readonly onPong: (data: Uint8Array) => void
  readonly onPing: (data: Uint8Array) => void
  readonly onGoAway: (frame: GoAway) => void
  /** The peer has received so many counted messages; answers what is wrong with that. */
  readonly onAck: (received: number) => Violation | undefined
  /** There is something to `pull`. */
  readonly onPending: () => void
  /** What is pending leaves now. It calls `pull`. */
  readonly flush: () => void
  /** There may be room again for what the peer sends. Only of multiplexers that say when there is none. */
  readonly onReadable: () => void
  /** So much more was written that what waits to be sent may be too much. */
  readonly onUnsent?: (() => void) | undefined
  /** The last open stream has closed. */
  readonly onQuiet: () => void
  /** Whether the frames so far have taken long enough, so that others have their turn: asked now and then. Absent: never. */
  readonly isTurnOver?: ((frames: number) => boolean) | undefined
  /** The connection can't go on, for a reason of this end. */
  readonly onBroken: (reason: string) => void
  /** Runs something later, unless the result is called. */
  readonly later: (millis: number, run: () => void) => () => void
}

/** How many streams this end remembers to have reset, to tell late frames from errors. */
const maxRemembered = 1024
/**
 * What so many frames have led to leaves, though more of them are here: the other end works on it meanwhile. Small calls are
 * 1.5 times as fast as when the ends take turns with all of them.
 */
const burst = 16
/** A shorter queue of requests is not worth compacting. */
const minCompacted = 256

/**
 * What two programs take to tell each other something, in milliseconds, however short the path is. Windows that don't allow
 * for it leave both waiting half of the time: bodies are 1.6 times as fast, streams of small items 1.9 times.
 */
const turns = 1
/** A stream's window grows no further for that: more would only be a longer queue. */
const turnsWindow = 1024 * 1024

/** DATA without bytes and END that the peer may send, a second and at once: it moves nothing, so a flood of it is an attack. */
const emptyData = { perSecond: 200, burst: 1000 }
/** More GOAWAYs of one peer than a drain and its end need, a second and at once. */
const goAways = { perSecond: 10, burst: 100 }

const creditFrame = { size: smallFrame, provoked: true }

/** By these a responder says that no handler has seen the request (PROTOCOL.md, "Outcome of a call"). */
const untouched: ReadonlySet<number> = new Set([
  ErrorCode.REFUSED_STREAM,
  ErrorCode.NOT_SERVING,
  ErrorCode.HEAD_TOO_LARGE
])
const tooManyResets = violation(ErrorCode.EXCESSIVE_LOAD, "too many streams were reset")

/** @internal */
export class Multiplexer implements OutboundSource {
  readonly counters: Counters = zeroCounters()
  readonly #options: MultiplexerOptions
  readonly #decoder: Decoder
  readonly #outbound: Outbound
  readonly #streams: StreamTable
  /** Requests that wait for the peer to allow more streams. @internal */
  readonly requests = MutableList.make<MuxStream>()
  readonly #window: ReceiveWindow
  readonly #streamTuning: WindowTuning
  readonly #resets: RateLimit
  /** Once there was one. */
  #emptyData: RateLimit | undefined = undefined
  #goAways: RateLimit | undefined = undefined
  /** The lowest last stream id of the peer's GOAWAYs. */
  #lastLocalId = Infinity
  /** The streams that this end has reset, once there were any. */
  #remembered: Set<number> | undefined = undefined
  #nextId: number
  #lastRemoteId = 0
  #openedByLocal = 0
  #openedByRemote = 0
  /** Handlers that run on though their streams were ended before their time. */
  #lingering = 0
  #waiting = 0
  #unread = 0
  /** Bytes written since it was looked how much waits. */
  #written = 0
  /** Bytes of bodies that the application has taken. */
  #consumed = 0
  /** By how much the windows of open streams have grown; shared, so that readers that stop can't hold it many times. */
  #growth = 0
  /** Set once this end sent GOAWAY: later requests of the peer are refused. */
  #draining = false
  /** Set once the peer sent GOAWAY or the connection is over: no request can be opened. */
  #closedBy: StreamFailure | undefined = undefined

  constructor(options: MultiplexerOptions) {
    this.#options = options
    this.#streams = new StreamTable(options.seed)
    this.#decoder = new Decoder(options.local)
    this.#outbound = new Outbound(options.remote, options.limits.sendBuffer, this.counters, options.onPending)
    this.#nextId = options.role === "client" ? 1 : 2
    const { limits, now } = options
    const roundTrip = (window: number) => this.#roundTrip(window)
    this.#window = new ReceiveWindow(options.local.connectionWindow, {
      cap: limits.maxConnectionWindow,
      now,
      roundTrip,
      mayGrow: () => true
    })
    this.#streamTuning = {
      cap: limits.maxStreamWindow,
      now,
      roundTrip,
      mayGrow: (bytes) => {
        if (this.#growth + bytes > limits.maxStreamWindow) return false
        this.#growth += bytes
        return true
      }
    }
    this.#resets = new RateLimit(limits.resetsPerSecond, limits.resetBurst, now)
  }

  /** Streams that are open, and requests that wait to be sent. */
  get active(): { readonly local: number; readonly remote: number; readonly waiting: number } {
    return { local: this.#openedByLocal, remote: this.#openedByRemote, waiting: this.#waiting }
  }

  /** Grows with every sign of life of the peer. */
  get heard(): number {
    return this.counters.messagesReceived
  }

  /** Bytes received that the application has not consumed. */
  get unreadBytes(): number {
    return this.#unread
  }

  /**
   * How far bodies have come, where every open stream has an answer that waits for its reader: of the peer, or of this end.
   * `undefined` where a handler is still at work.
   */
  get waitingForReaders(): number | undefined {
    for (const stream of this.#streams.toArray()) {
      const isUnread = this.#isLocal(stream.id)
        ? stream.remote === "body" && stream.unread > 0
        : stream.local === "body" && stream.buffered + stream.queued > 0
      if (!isUnread) return undefined
    }
    return this.#consumed + this.#outbound.bodyBytes
  }

  /** Bytes of bodies that were written and wait to be sent. */
  get unsentBytes(): number {
    let bytes = 0
    for (const stream of this.#streams.toArray()) bytes += stream.buffered
    for (const { buffered } of MutableList.toArray(this.requests)) bytes += buffered
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
    if (this.#closedBy !== undefined) return { ...this.#closedBy, outcome: "not-sent" }
    if (this.#outbound.isClosing) return leaving
    const size = headSize(target, fields)
    const { maxHeadSize } = this.#options.remote
    if (size > maxHeadSize || size + smallFrame + method.length > this.#maxHeadFrame) {
      return {
        code: ErrorCode.HEAD_TOO_LARGE,
        reason: `the head has ${size} bytes, the peer takes ${Math.min(maxHeadSize, this.#maxHeadFrame)}`,
        by: "local",
        outcome: "not-sent"
      }
    }
    const stream = new MuxStream({
      id: 0,
      handler,
      urgency: urgencyOf(fields),
      sendCredit: this.#options.remote.streamWindow,
      window: new ReceiveWindow(this.#options.local.streamWindow, this.#streamTuning),
      request: { method, target, fields, end, size: size + smallFrame + method.length },
      local: end ? "end" : "body",
      remote: "head"
    })
    this.#waiting++
    MutableList.append(this.requests, stream)
    if (this.#mayOpen) this.#options.onPending()
    return stream
  }

  /** Sends the head of the answer. A head that the peer would not take resets the stream, and is answered. */
  respond(stream: MuxStream, status: number, fields: Fields, end: boolean): Violation | undefined {
    if (stream.local !== "head") return undefined
    const size = headSize("", fields)
    const { maxHeadSize } = this.#options.remote
    if (size > maxHeadSize || size + smallFrame > this.#maxHeadFrame) {
      const refused = violation(
        ErrorCode.HEAD_TOO_LARGE,
        `the head has ${size} bytes, the peer takes ${Math.min(maxHeadSize, this.#maxHeadFrame)}`
      )
      this.reset(stream, ErrorCode.INTERNAL_ERROR, refused.reason)
      return refused
    }
    stream.local = "body"
    stream.finished = end
    // Its END counts when it is written: else a peer that reads nothing could open streams, and have answers queued,
    // without end.
    this.#outbound.push({ _tag: "Response", streamId: stream.id, end, status, fields }, {
      size: size + smallFrame,
      stream,
      end
    })
    return undefined
  }

  /** Queues body bytes; `false` asks the caller to wait for `onWritable`. */
  write(stream: MuxStream, chunk: Uint8Array): boolean {
    if (stream.local !== "body" || stream.finished) return true
    if (chunk.length > 0) {
      stream.push(chunk)
      this.#countWritten(chunk.length)
      this.#outbound.ready(stream)
    }
    if (stream.buffered < this.#options.limits.sendBuffer) return true
    stream.blocked = true
    return false
  }

  #countWritten(bytes: number): void {
    this.#written += bytes
    if (this.#written < unsentStep) return
    this.#written = 0
    this.#options.onUnsent?.()
  }

  /** Ends the body; END goes with its last bytes. */
  finish(stream: MuxStream): void {
    if (stream.local !== "body" || stream.finished) return
    stream.finished = true
    if (stream.buffered === 0 && stream.id !== 0) this.#sendEnd(stream)
    else this.#outbound.ready(stream)
  }

  /** The application has taken `bytes` out of what `onData` gave it. */
  consumed(stream: MuxStream, bytes: number): void {
    // Nothing is owed for a stream that ended: `settle` has given all back.
    if (bytes === 0 || stream.unread === 0) return
    stream.unread -= bytes
    this.#unread -= bytes
    this.#consumed += bytes
    this.#grantConnection()
    const increment = stream.window.grant(stream.unread)
    if (increment > 0) this.#outbound.push({ _tag: "Credit", streamId: stream.id, increment }, creditFrame)
  }

  /** Ends a stream at once. A request that was not sent yet is forgotten without a frame. */
  reset(stream: MuxStream, code: number, reason: string): void {
    if (stream.isClosed) return
    if (stream.id !== 0) this.#sendReset(stream.id, code, reason, false)
    this.#close(stream)
  }

  /**
   * The responder has done all it will, and reads no more of the request: says so once its answer has gone, without failing
   * the exchange.
   */
  stopReading(stream: MuxStream): void {
    stream.unwanted = true
    stream.handled = false
    if (stream.lingers) {
      stream.lingers = false
      this.#lingering--
    }
    if (stream.isClosed) return
    if (stream.local === "end") this.#closeIfEnded(stream)
  }

  ping(data: Uint8Array): void {
    this.#outbound.pushLink({ _tag: "Ping", data }, false)
  }

  /** Announces that no further requests of the peer are taken. `last`: the connection closes, and nothing else follows. */
  goAway(code: number, reason: string, last = false): void {
    if (last) this.#outbound.isClosing = true
    if (this.#draining && code === ErrorCode.NO_ERROR) return
    this.#draining = true
    this.#outbound.push({ _tag: "GoAway", lastStreamId: this.#lastRemoteId, code, reason }, { size: reasonFrame })
  }

  /** Gives up all exchanges, of both ends, and tells the peer. */
  cancelAll(reason: string): void {
    const failure = { code: ErrorCode.CANCELLED, reason }
    for (const stream of MutableList.takeAll(this.requests)) this.#failStream(stream, failure, "not-sent")
    for (const stream of this.#streams.toArray()) {
      this.#sendReset(stream.id, failure.code, reason, false)
      this.#failStream(stream, failure, "unknown")
    }
  }

  /** The connection is over: every stream fails; `outcome` is what is known of the requests that were sent. */
  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome: Outcome = "unknown"): void {
    if (this.#closedBy?.by === "connection") return
    this.#closedBy = { ...failure, by: "connection", outcome: "not-sent" }
    this.#draining = true
    this.#outbound.clear()
    const waiting = MutableList.takeAll(this.requests)
    const open = this.#streams.toArray()
    for (const stream of waiting) this.#failStream(stream, failure, "not-sent")
    for (const stream of open) this.#failStream(stream, failure, outcome)
  }

  // --- what the link sends -----------------------------------------------------------------------------------------

  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly = false): Uint8Array<ArrayBuffer> | undefined {
    return this.#outbound.pull(this, linkOnly)
  }

  /** The link was lost: what was queued for it alone is forgotten. */
  linkLost(): void {
    this.#outbound.clearLink()
  }

  /** A head is one frame, and that is in one message. */
  get #maxHeadFrame(): number {
    return Math.min(this.#options.remote.maxFrameSize, this.#options.remote.maxMessageSize)
  }

  get #mayOpen(): boolean {
    return this.#closedBy === undefined && !this.#outbound.isClosing &&
      this.#openedByLocal < this.#options.remote.maxConcurrentStreams
  }

  /** @internal */
  nextRequest(room: number): { readonly stream: MuxStream; readonly request: RequestHead } | undefined {
    while (this.requests.length > 0 && this.#mayOpen) {
      const stream = this.requests.head!.array[this.requests.head!.offset]!
      const request = stream.request
      if (request !== undefined && request.size > room) return undefined
      MutableList.take(this.requests)
      // Cancelled while it waited.
      if (request === undefined) continue
      this.#waiting--
      stream.request = undefined
      stream.id = this.#nextId
      this.#nextId += 2
      this.#openedByLocal++
      this.counters.streamsOpened++
      this.#streams.add(stream)
      if (stream.finished && stream.buffered === 0) this.#sendEnd(stream)
      stream.handler.onSent?.()
      return { stream, request }
    }
    return undefined
  }

  /** @internal */
  sentEnd(stream: MuxStream): void {
    if (stream.local === "end") return
    stream.local = "end"
    this.#closeIfEnded(stream)
  }

  #sendEnd(stream: MuxStream): void {
    this.#outbound.push({ _tag: "Data", streamId: stream.id, end: true, data: nothing }, {
      size: smallFrame,
      stream,
      end: true
    })
  }

  #sendReset(streamId: number, code: number, reason: string, provoked: boolean): void {
    this.counters.resetsSent++
    const remembered = this.#remembered ??= new Set()
    remembered.add(streamId)
    if (remembered.size > maxRemembered) {
      for (const oldest of remembered) {
        remembered.delete(oldest)
        break
      }
    }
    this.#outbound.push({ _tag: "Reset", streamId, code, reason }, { size: reasonFrame, provoked })
  }

  /** What counts as the round trip for a window: more than the path's where no other stream would wait behind that. */
  #roundTrip(window: number): number | undefined {
    const roundTrip = this.#options.roundTrip()
    return roundTrip !== undefined && this.#streams.size === 1 && window < turnsWindow
      ? Math.max(roundTrip, turns)
      : roundTrip
  }

  #grantConnection(): void {
    // Unread bytes are charged only beyond a limit: a few readers that stopped must not stop the others.
    const increment = this.#window.grant(Math.max(0, this.#unread - this.#options.limits.maxUnread))
    if (increment > 0) this.#outbound.push({ _tag: "Credit", streamId: 0, increment }, creditFrame)
  }

  // --- what the peer sends -----------------------------------------------------------------------------------------

  /** Takes a message in; a violation is of the connection, which the driver then ends. */
  receive(message: Uint8Array | string): Violation | undefined {
    this.counters.messagesReceived++
    if (typeof message === "string") {
      return violation(ErrorCode.PROTOCOL_ERROR, "a text message after the handshake")
    }
    this.counters.bytesReceived += message.length
    return this.#decoder.decode(message, this.#onFrame, this.#stops) ?? this.#provokedTooMuch()
  }

  /** A message was taken in up to a frame: `receiveRest` goes on. */
  get isReceiving(): boolean {
    return this.#decoder.isStopped
  }

  /** Goes on with a message that was taken in up to a frame. `whole`: to its end, whether or not the turn is over. */
  receiveRest(whole: boolean): Violation | undefined {
    return this.#decoder.goOn(this.#onFrame, whole ? undefined : this.#stops) ?? this.#provokedTooMuch()
  }

  readonly #stops = (): boolean =>
    this.counters.framesReceived % burst === 0 && this.#options.isTurnOver?.(burst) === true

  readonly #onFrame = (frame: Decoded): Violation | undefined => {
    if (this.#closedBy?.by === "connection") return undefined
    if (++this.counters.framesReceived % burst === 0) this.#options.flush()
    switch (frame._tag) {
      case "Data":
        return this.#onData(frame)
      case "Response":
        return this.#onResponse(frame)
      case "Request":
        return this.#onRequest(frame)
      case "Credit":
        return this.#onCredit(frame)
      case "Reset":
        return this.#onReset(frame)
      case "Malformed":
        return this.#onMalformed(frame)
      case "GoAway":
        return this.#onGoAway(frame)
      case "Ping":
        this.#options.onPing(frame.data)
        this.#outbound.pushLink({ _tag: "Pong", data: frame.data.slice() }, true)
        return undefined
      case "Pong":
        this.#options.onPong(frame.data)
        return undefined
      case "Ack":
        return this.#options.onAck(frame.received)
    }
  }

  /** The id of a new stream of the peer must be of its parity and above all before. */
  #acceptId(streamId: number): Violation | undefined {
    if (this.#isLocal(streamId)) {
      return violation(ErrorCode.STREAM_ID_ERROR, `stream ${streamId} is not of the peer's parity`)
    }
    if (streamId <= this.#lastRemoteId) {
      return violation(ErrorCode.STREAM_ID_ERROR, `stream ${streamId} is not above ${this.#lastRemoteId}`)
    }
    if (!this.#draining) this.#lastRemoteId = streamId
    return undefined
  }

  #onRequest(frame: Request): Violation | undefined {
    const refused = this.#acceptId(frame.streamId)
    if (refused !== undefined) return refused
    if (this.#draining) return this.#refuse(frame.streamId, ErrorCode.REFUSED_STREAM, "this end is going away")
    if (this.#openedByRemote + this.#lingering >= this.#options.local.maxConcurrentStreams) {
      return this.#refuse(frame.streamId, ErrorCode.REFUSED_STREAM, "too many requests are in progress")
    }
    const stream = new MuxStream({
      id: frame.streamId,
      handler: ignoring,
      urgency: urgencyOf(frame.fields),
      sendCredit: this.#options.remote.streamWindow,
      window: new ReceiveWindow(this.#options.local.streamWindow, this.#streamTuning),
      request: undefined,
      local: "head",
      remote: frame.end ? "end" : "body"
    })
    this.#streams.add(stream)
    this.#openedByRemote++
    this.counters.streamsAccepted++
    const unwanted = this.#options.onRequest(stream, frame)
    if (unwanted === undefined) return undefined
    this.#close(stream)
    if (!untouched.has(unwanted.code) && !this.#resets.take()) return tooManyResets
    return this.#refuse(frame.streamId, unwanted.code, unwanted.reason)
  }

  #refuse(streamId: number, code: number, reason: string): Violation | undefined {
    this.#sendReset(streamId, code, reason, true)
    return undefined
  }

  #provokedTooMuch(): Violation | undefined {
    return this.#outbound.provoked > this.#options.limits.maxQueuedControl
      ? violation(ErrorCode.EXCESSIVE_LOAD, "too many answers are waiting to be written")
      : undefined
  }

  /** Whether this end opens streams of this parity. */
  #isLocal(streamId: number): boolean {
    return (streamId % 2 === 1) === (this.#options.role === "client")
  }

  #isIdle(streamId: number): boolean {
    return this.#isLocal(streamId) ? streamId >= this.#nextId : !this.#draining && streamId > this.#lastRemoteId
  }

  /** A frame for a stream that is not open: late after this end's own reset, or an error. */
  #onUnknownStream(streamId: number, what: string): Violation | undefined {
    if (this.#isIdle(streamId)) return violation(ErrorCode.PROTOCOL_ERROR, `${what} on the idle stream ${streamId}`)
    if (this.#remembered?.has(streamId)) return undefined
    return this.#refuse(streamId, ErrorCode.STREAM_CLOSED, `${what} on a closed stream`)
  }

  /** Ends one stream for an error of the peer on it. */
  #violate(stream: MuxStream, code: number, reason: string): Violation | undefined {
    // Work that was begun and thrown away costs as much as if the peer had reset it.
    if (!this.#isLocal(stream.id) && !this.#resets.take()) return tooManyResets
    this.#sendReset(stream.id, code, reason, true)
    // Both halves may have ended already, with the frame that is at fault.
    this.#abort(stream, { code, reason, by: "local", outcome: "unknown" })
    return undefined
  }

  #onResponse(frame: Response): Violation | undefined {
    const stream = this.#streams.get(frame.streamId)
    if (stream === undefined) return this.#onUnknownStream(frame.streamId, "RESPONSE")
    const remote = afterHead(stream.remote, frame.end)
    if (remote === undefined) {
      return stream.remote === "end"
        ? this.#violate(stream, ErrorCode.STREAM_CLOSED, "RESPONSE after the end")
        : this.#violate(stream, ErrorCode.PROTOCOL_ERROR, "RESPONSE where none belongs")
    }
    stream.remote = remote
    const fault = stream.handler.onResponse(frame.status, frame.fields, frame.end)
    if (fault !== undefined) return this.#violate(stream, fault.code, fault.reason)
    if (frame.end) this.#closeIfEnded(stream)
    return undefined
  }

  #onData(frame: Data): Violation | undefined {
    const size = frame.data.length
    if (!this.#window.receive(size)) {
      return violation(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the connection")
    }
    const stream = this.#streams.get(frame.streamId)
    if (stream === undefined) {
      this.#grantConnection()
      return this.#onUnknownStream(frame.streamId, "DATA") ??
        (size === 0 && !frame.end ? this.#onEmptyData() : undefined)
    }
    if (!stream.window.receive(size)) {
      this.#grantConnection()
      return this.#violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the stream")
    }
    const remote = afterData(stream.remote, frame.end)
    if (remote === undefined) {
      this.#grantConnection()
      return stream.remote === "end"
        ? this.#violate(stream, ErrorCode.STREAM_CLOSED, "DATA after the end")
        : this.#violate(stream, ErrorCode.PROTOCOL_ERROR, "DATA before RESPONSE")
    }
    stream.remote = remote
    if (size === 0 && !frame.end) return this.#onEmptyData()
    stream.unread += size
    this.#unread += size
    if (frame.end) this.#settle(stream)
    this.#grantConnection()
    const fault = stream.handler.onData(frame.data, frame.end)
    if (fault !== undefined) return this.#violate(stream, fault.code, fault.reason)
    if (frame.end) this.#closeIfEnded(stream)
    return undefined
  }

  /** Nobody waits for it, and its handler is not told. */
  #onEmptyData(): Violation | undefined {
    const { burst, perSecond } = emptyData
    this.#emptyData ??= new RateLimit(perSecond, burst, this.#options.now)
    return this.#emptyData.take() ? undefined : violation(ErrorCode.EXCESSIVE_LOAD, "too much DATA was empty")
  }

  #onCredit(frame: Credit): Violation | undefined {
    if (frame.streamId === 0) {
      if (!this.#outbound.credit.grow(frame.increment)) {
        return violation(ErrorCode.FLOW_CONTROL_ERROR, "the credit of the connection overflows")
      }
      this.#outbound.resume()
      return undefined
    }
    const stream = this.#streams.get(frame.streamId)
    if (stream === undefined) {
      return this.#isIdle(frame.streamId)
        ? violation(ErrorCode.PROTOCOL_ERROR, `CREDIT on the idle stream ${frame.streamId}`)
        : undefined
    }
    // Nothing more will be sent, so nothing can overflow.
    if (stream.local === "end") return undefined
    if (!stream.credit.grow(frame.increment)) {
      return this.#violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "the credit of the stream overflows")
    }
    this.#outbound.ready(stream)
    return undefined
  }

  #onReset(frame: Reset): Violation | undefined {
    this.counters.resetsReceived++
    const stream = this.#streams.get(frame.streamId)
    if (stream === undefined && this.#isIdle(frame.streamId)) {
      return violation(ErrorCode.PROTOCOL_ERROR, `RESET on the idle stream ${frame.streamId}`)
    }
    const own = this.#isLocal(frame.streamId)
    if (!own && !this.#resets.take()) return tooManyResets
    if (stream === undefined) return undefined
    if (own && stream.remote === "end") {
      // The answer is complete: the peer only asks to spare it the rest of the request.
      this.#close(stream)
      stream.handler.onStopSending()
      return undefined
    }
    this.#failStream(
      stream,
      { code: frame.code, reason: frame.reason },
      stream.remote === "head" && untouched.has(frame.code) ? "not-processed" : "unknown",
      "remote"
    )
    return undefined
  }

  #onMalformed(frame: Malformed): Violation | undefined {
    if (frame.request) {
      const refused = this.#acceptId(frame.streamId)
      if (refused !== undefined) return refused
      if (!this.#resets.take()) return tooManyResets
      return this.#refuse(frame.streamId, frame.code, frame.reason)
    }
    const stream = this.#streams.get(frame.streamId)
    return stream === undefined
      ? this.#onUnknownStream(frame.streamId, "RESPONSE")
      : this.#violate(stream, frame.code, frame.reason)
  }

  #onGoAway(frame: GoAway): Violation | undefined {
    const { burst, perSecond } = goAways
    this.#goAways ??= new RateLimit(perSecond, burst, this.#options.now)
    if (!this.#goAways.take()) return violation(ErrorCode.EXCESSIVE_LOAD, "too many GOAWAYs")
    if (frame.lastStreamId > this.#lastLocalId) {
      return violation(ErrorCode.PROTOCOL_ERROR, `GOAWAY ${frame.lastStreamId} after GOAWAY ${this.#lastLocalId}`)
    }
    this.#lastLocalId = frame.lastStreamId
    const failure = { code: ErrorCode.REFUSED_STREAM, reason: frame.reason || "the peer is going away" }
    this.#closedBy ??= { ...failure, by: "remote", outcome: "not-sent" }
    for (const stream of MutableList.takeAll(this.requests)) this.#failStream(stream, failure, "not-sent", "remote")
    for (const stream of this.#streams.toArray()) {
      if (this.#isLocal(stream.id) && stream.id > frame.lastStreamId) {
        this.#failStream(stream, failure, "not-processed", "remote")
      }
    }
    this.#options.onGoAway(frame)
    return undefined
  }

  // --- the end of streams ------------------------------------------------------------------------------------------

  #failStream(
    stream: MuxStream,
    failure: Omit<StreamFailure, "outcome" | "by">,
    outcome: Outcome,
    by: StreamFailure["by"] = "connection"
  ): void {
    if (!stream.isClosed) this.#abort(stream, { ...failure, by, outcome })
  }

  #abort(stream: MuxStream, failure: StreamFailure): void {
    this.#close(stream)
    if (stream.handled) {
      stream.lingers = true
      this.#lingering++
    }
    stream.handler.onFailure(failure)
  }

  /** After the end of a half. */
  #closeIfEnded(stream: MuxStream): void {
    if (stream.isClosed) this.#forget(stream)
    else if (stream.unwanted && stream.local === "end") this.reset(stream, ErrorCode.NO_ERROR, "")
  }

  #close(stream: MuxStream): void {
    stream.local = "end"
    stream.remote = "end"
    stream.dropBuffered()
    if (stream.queued > 0) this.#outbound.drop(stream)
    this.#settle(stream)
    this.#grantConnection()
    this.#forget(stream)
  }

  /** A body that is complete, or will not be, holds no more bytes than its window had: it owes the connection nothing. */
  #settle(stream: MuxStream): void {
    this.#unread -= stream.unread
    stream.unread = 0
  }

  #forget(stream: MuxStream): void {
    if (stream.id === 0) {
      if (stream.request === undefined) return
      stream.request = undefined
      this.#waiting--
      // Requests that were cancelled in the queue leave it when they are the greater part.
      if (this.requests.length > minCompacted && this.requests.length > this.#waiting * 2) {
        MutableList.filter(this.requests, (waiting) => waiting.request !== undefined)
      }
      return
    }
    if (!this.#streams.delete(stream)) return
    this.#growth -= stream.window.size - this.#options.local.streamWindow
    if (this.#isLocal(stream.id)) {
      this.#openedByLocal--
      if (this.requests.length > 0) this.#options.onPending()
    } else {
      this.#openedByRemote--
    }
    if (this.#streams.size === 0 && this.#waiting === 0) this.#options.onQuiet()
  }
}

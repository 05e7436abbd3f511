/**
 * Acts on the frames of the peer: each changes the state of its stream, or is a violation (PROTOCOL.md, "Streams" to
 * "Cancellation").
 */
import { type Violation, violation } from "../frame/codes.ts"
import { Decoder } from "../frame/decoder.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Credit, Data, Decoded, GoAway, Malformed, Request, Reset, Response } from "../frame/Frame.ts"
import { switchingProtocols } from "../frame/grammar.ts"
import { FloodLimits } from "./floodLimits.ts"
import { maxCredit } from "./flowControl.ts"
import { Lifecycle } from "./lifecycle.ts"
import type { MultiplexerOptions } from "./options.ts"
import type { MuxStream } from "./stream.ts"

/**
 * After so many frames the answers to them are sent, although more frames are here: the peer works on the answers while this end
 * works on the rest. Small calls are 1.5 times as fast as when both ends take turns with whole messages.
 */
const burst = 16

/** Codes by which a responder says that no handler has seen the request (PROTOCOL.md, "Outcome of a call"). */
const untouched: ReadonlySet<number> = new Set([
  ErrorCode.REFUSED_STREAM,
  ErrorCode.NOT_SERVING,
  ErrorCode.HEAD_TOO_LARGE
])

/**
 * Whatever the peer sends, these methods don't throw or wait, and what they keep is bounded. A violation that they return ends the
 * connection. An error of one stream is answered with RESET.
 *
 * @internal
 */
export class Inbound extends Lifecycle {
  readonly #decoder: Decoder
  readonly #floods: FloodLimits
  /** A message was acted on up to one of its frames, because the turn is over: `receiveRest` goes on. */
  isReceiving = false
  /** The lowest last stream id of the peer's GOAWAYs. */
  #lastLocalId = Infinity

  constructor(options: MultiplexerOptions) {
    super(options)
    this.#decoder = new Decoder(options.local, this.upgrades)
    this.#floods = new FloodLimits(options.limits, options.now)
  }

  /** Acts on a message. A violation that is returned ends the connection. */
  receive(message: Uint8Array | string): Violation | undefined {
    this.counters.messagesReceived++
    if (typeof message === "string") {
      return violation(ErrorCode.PROTOCOL_ERROR, "a text message after the handshake")
    }
    this.counters.bytesReceived += message.length
    return this.#received(this.#decoder.decode(message, this.#onFrame, this.#stops))
  }

  /** Goes on with that message. */
  receiveRest(): Violation | undefined {
    return this.#received(this.#decoder.goOn(this.#onFrame, this.#stops))
  }

  /** How long the peer should not be read from now, in milliseconds. */
  get pauseMillis(): number {
    return this.#floods.pauseMillis
  }

  #received(fault: Violation | undefined): Violation | undefined {
    this.isReceiving = this.#decoder.isStopped
    if (fault !== undefined) return fault
    return this.outbound.provoked > this.options.limits.maxQueuedControl
      ? violation(ErrorCode.EXCESSIVE_LOAD, "too many answers are waiting to be written")
      : undefined
  }

  readonly #stops = (): boolean =>
    this.counters.framesReceived % burst === 0 && this.options.isTurnOver?.(burst) === true

  readonly #onFrame = (frame: Decoded): Violation | undefined => {
    if (this.outbound.closedBy?.by === "connection") return undefined
    if (++this.counters.framesReceived % burst === 0) this.options.host.flush()
    switch (frame._tag) {
      case "Data":
        return this.#onData(frame)
      case "Response":
        return this.#onResponse(frame)
      case "Request":
        return this.#onRequest(frame)
      case "Credit":
        return this.#countControl() ?? this.#onCredit(frame)
      case "Reset":
        return this.#onReset(frame)
      case "Malformed":
        return this.#onMalformed(frame)
      case "GoAway":
        return this.#onGoAway(frame)
      case "Ping":
        this.options.host.onPing(frame.data)
        this.outbound.pushLink({ _tag: "Pong", data: new Uint8Array(frame.data) }, true)
        return this.#countControl()
      case "Pong":
        this.options.host.onPong(frame.data)
        return this.#countControl()
      case "Ack":
        return this.#countControl() ?? this.options.host.onAck(frame.received)
    }
  }

  #countControl(): Violation | undefined {
    return this.#floods.control(this.outbound.framesSent, this.counters.bytesReceived)
  }

  /** Refuses a request that no handler has seen. */
  #refuse(streamId: number, code: number, reason: string): undefined {
    this.#floods.refused()
    return this.sendReset(streamId, code, reason, true)
  }

  #onRequest(frame: Request): Violation | undefined {
    const refused = this.streams.accept(frame.streamId)
    if (refused !== undefined) return refused
    if (this.streams.isSealed) {
      return this.#refuse(frame.streamId, ErrorCode.REFUSED_STREAM, "this end is going away")
    }
    if (this.streams.remote + this.streams.lingering >= this.options.local.maxConcurrentStreams) {
      return this.#refuse(frame.streamId, ErrorCode.REFUSED_STREAM, "too many requests are in progress")
    }
    const stream = this.accept(frame)
    const unwanted = this.options.host.onRequest(stream, frame)
    if (unwanted === undefined) return undefined
    this.close(stream)
    return untouched.has(unwanted.code)
      ? this.#refuse(frame.streamId, unwanted.code, unwanted.reason)
      : this.#floods.reset() ?? this.sendReset(frame.streamId, unwanted.code, unwanted.reason, true)
  }

  /** A frame for a stream that is not open: late after this end's own reset, or an error. */
  #onUnknownStream(streamId: number, what: string): Violation | undefined {
    if (this.streams.isIdle(streamId)) {
      return violation(ErrorCode.PROTOCOL_ERROR, `${what} on the idle stream ${streamId}`)
    }
    if (this.streams.mayBeLate(streamId)) return undefined
    return this.sendReset(streamId, ErrorCode.STREAM_CLOSED, `${what} on a closed stream`, true)
  }

  /** Ends one stream for an error of the peer on it. */
  #violate(stream: MuxStream, code: number, reason: string): Violation | undefined {
    // Work that was begun and thrown away costs as much as if the peer had reset it.
    const excess = stream.isLocal ? undefined : this.#floods.reset()
    if (excess !== undefined) return excess
    this.sendReset(stream.id, code, reason, true)
    // Both halves may have ended already, with the frame that is at fault.
    this.abort(stream, { code, reason, by: "local", outcome: "unknown" })
    return undefined
  }

  /** Ends a stream for a frame that its state does not allow. `where`: what is wrong with the frame before the peer's END. */
  #unexpected(stream: MuxStream, what: string, where: string): Violation | undefined {
    return stream.state.remote === "end"
      ? this.#violate(stream, ErrorCode.STREAM_CLOSED, `${what} after the end`)
      : this.#violate(stream, ErrorCode.PROTOCOL_ERROR, `${what} ${where}`)
  }

  #onResponse(frame: Response): Violation | undefined {
    const stream = this.streams.get(frame.streamId)
    if (stream === undefined) return this.#onUnknownStream(frame.streamId, "RESPONSE")
    const next = stream.state.headReceived
    if (next === undefined) {
      return this.#unexpected(stream, "RESPONSE", "where none belongs")
    }
    if (frame.status === switchingProtocols && !stream.asksForUpgrade) {
      return this.#violate(stream, ErrorCode.PROTOCOL_ERROR, "101 to a request that asks for no upgrade")
    }
    stream.state = frame.end ? next.endReceived! : next
    const fault = stream.handler.onResponse(frame.status, frame.fields, frame.end)
    if (fault !== undefined) return this.#violate(stream, fault.code, fault.reason)
    if (frame.end) this.closeIfEnded(stream)
    return undefined
  }

  #onData(frame: Data): Violation | undefined {
    const size = frame.data.length
    const { connection } = this.credit
    if (size > connection.available) {
      return violation(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the connection")
    }
    connection.available -= size
    const stream = this.streams.get(frame.streamId)
    if (stream === undefined) {
      this.credit.grant()
      return this.#onUnknownStream(frame.streamId, "DATA") ??
        (size === 0 && !frame.end ? this.#floods.emptyData() : undefined)
    }
    if (size > stream.window.available) {
      return this.#violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the credit of the stream")
    }
    stream.window.available -= size
    const ended = stream.state.endReceived
    if (ended === undefined) return this.#unexpected(stream, "DATA", "before RESPONSE")
    if (size === 0 && !frame.end) return this.#floods.emptyData()
    if (stream.asksForUpgrade && stream.state.local === "head") {
      return this.#violate(stream, ErrorCode.MALFORMED, "DATA before the answer to a request that asks for an upgrade")
    }
    if (frame.end) stream.state = ended
    this.credit.hold(stream, size, frame.end)
    const fault = stream.handler.onData(frame.data, frame.end)
    if (fault !== undefined) return this.#violate(stream, fault.code, fault.reason)
    if (frame.end) this.closeIfEnded(stream)
    return undefined
  }

  #onCredit(frame: Credit): Violation | undefined {
    if (frame.streamId === 0) {
      if (this.outbound.credit + frame.increment > maxCredit) {
        return violation(ErrorCode.FLOW_CONTROL_ERROR, "the credit of the connection overflows")
      }
      this.outbound.credit += frame.increment
      this.outbound.resume()
      return undefined
    }
    const stream = this.streams.get(frame.streamId)
    if (stream === undefined) {
      return this.streams.isIdle(frame.streamId)
        ? violation(ErrorCode.PROTOCOL_ERROR, `CREDIT on the idle stream ${frame.streamId}`)
        : undefined
    }
    // Nothing more will be sent, so nothing can overflow.
    if (stream.state.local === "end") return undefined
    if (stream.credit + frame.increment > maxCredit) {
      return this.#violate(stream, ErrorCode.FLOW_CONTROL_ERROR, "the credit of the stream overflows")
    }
    stream.credit += frame.increment
    this.outbound.ready(stream)
    return undefined
  }

  #onReset(frame: Reset): Violation | undefined {
    this.counters.resetsReceived++
    const stream = this.streams.get(frame.streamId)
    if (this.streams.isIdle(frame.streamId)) {
      return violation(ErrorCode.PROTOCOL_ERROR, `RESET on the idle stream ${frame.streamId}`)
    }
    const own = this.streams.isLocal(frame.streamId)
    // So a requester ends an upgrade whose other direction it reads no more: nothing was begun in vain.
    const isOrderly = frame.code === ErrorCode.NO_ERROR && stream?.asksForUpgrade === true &&
      stream.state.remote === "end"
    const excess = own || isOrderly ? undefined : this.#floods.reset()
    if (excess !== undefined || stream === undefined) return excess
    if (own && stream.state.remote === "end") {
      // The answer is complete: the peer only asks to spare it the rest of the request.
      this.close(stream)
      stream.handler.onStopSending()
      return undefined
    }
    this.failStream(
      stream,
      { code: frame.code, reason: frame.reason },
      stream.state.remote === "head" && untouched.has(frame.code) ? "not-processed" : "unknown",
      "remote"
    )
    return undefined
  }

  #onMalformed(frame: Malformed): Violation | undefined {
    if (frame.request) {
      const refused = this.streams.accept(frame.streamId)
      return refused ?? this.#floods.reset() ?? this.sendReset(frame.streamId, frame.code, frame.reason, true)
    }
    const stream = this.streams.get(frame.streamId)
    return stream === undefined
      ? this.#onUnknownStream(frame.streamId, "RESPONSE")
      : this.#violate(stream, frame.code, frame.reason)
  }

  #onGoAway(frame: GoAway): Violation | undefined {
    const excess = this.#floods.goAway()
    if (excess !== undefined) return excess
    if (frame.lastStreamId > this.#lastLocalId) {
      return violation(ErrorCode.PROTOCOL_ERROR, `GOAWAY ${frame.lastStreamId} after GOAWAY ${this.#lastLocalId}`)
    }
    this.#lastLocalId = frame.lastStreamId
    const failure = { code: ErrorCode.REFUSED_STREAM, reason: frame.reason || "the peer is going away" }
    this.outbound.closedBy ??= { ...failure, by: "remote", outcome: "not-sent" }
    this.failWaiting(failure, "remote")
    for (const stream of this.streams.toArray()) {
      if (stream.isLocal && stream.id > frame.lastStreamId) {
        this.failStream(stream, failure, "not-processed", "remote")
      }
    }
    this.options.host.onGoAway(frame)
    return undefined
  }
}

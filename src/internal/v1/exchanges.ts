/**
 * The exchanges of a connection on wire v1: HTTP/1.1 in WebSocket messages, one call at a time in each direction
 * (PROTOCOL-v1.md, "Wire v1"). It stands where the multiplexer of wire v2 stands, and is a machine of the same kind: told of
 * messages and asked for messages, with time and randomness passed in.
 *
 * The places that work around what Go does name it as PROTOCOL-v1.md, "What Go peers can't take" does: B1, B2 and so on.
 */
import type { Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { type Counters, unsentStep, zeroCounters } from "../streams/settings.ts"
import { leaving, type MuxStream, type Outcome, type StreamFailure, type StreamHandler } from "../streams/stream.ts"
import { Answer, Answers } from "./answers.ts"
import { Call, Calls } from "./calls.ts"
import { asMessage, bytesOf } from "./format.ts"
import type { ExchangesOptions } from "./options.ts"
import { Unread } from "./unread.ts"

const responseStart = [0x48, 0x54, 0x54, 0x50, 0x2f]

const isLineEnd = (byte: number): boolean => byte === 0x0d || byte === 0x0a

/** After so many bytes of blank lines, other connections may have their turn. */
const blankPiece = 64 * 1024

/** Whether a message begins with `HTTP/`, as far as it goes where an answer is `awaited`. */
const isResponse = (bytes: Uint8Array, awaited: boolean): boolean => {
  const size = Math.min(bytes.length, responseStart.length)
  if (size === 0 || (size < responseStart.length && !awaited)) return false
  return responseStart.every((byte, index) => index >= size || bytes[index] === byte)
}

/** @internal */
export class Exchanges {
  readonly counters: Counters = zeroCounters()
  readonly #options: ExchangesOptions
  readonly #unread: Unread
  readonly #calls: Calls
  readonly #answers: Answers
  #closedBy: StreamFailure | undefined
  /** This end is closing, and makes no more calls. */
  #isClosing = false
  #controlsReceived = 0
  /** Bytes written since the waiting bytes were last counted. */
  #written = 0
  /** How many requests the peer had sent when it was pinged, if it waited for no answer then. */
  #pingedIdle: number | undefined
  /** What follows blank lines of a message, which go on. */
  #blank: { readonly rest: Uint8Array; readonly awaited: boolean } | undefined
  /** The peer has answered a ping while it waited for no answer. */
  #listens = false

  constructor(options: ExchangesOptions) {
    const { host } = options
    const onPending = () => {
      host.onPending()
      host.onReadable()
      const { local, remote, waiting } = this.active
      if (local + remote + waiting === 0) host.onIdle()
    }
    this.#options = options
    this.#unread = new Unread(() => host.onReadable())
    this.#calls = new Calls(options, onPending, this.counters, this.#unread)
    this.#answers = new Answers(options, onPending, this.counters, this.#unread)
    options.controls?.listen(
      (data) => {
        this.#controlsReceived++
        this.#sendsControl(data)
        host.onPing(data)
      },
      (data) => {
        this.#controlsReceived++
        // Go's callers read only while they wait for an answer, and answer old pings then: that says nothing of the path.
        if (this.#pingedIdle !== this.counters.streamsAccepted) return
        this.#pingedIdle = undefined
        this.#listens = true
        host.onPong(data)
      }
    )
  }

  get active(): { readonly local: number; readonly remote: number; readonly waiting: number } {
    return { local: this.#calls.sent, remote: this.#answers.count, waiting: this.#calls.waiting }
  }

  get unsentBytes(): number {
    return this.#answers.unsentBytes
  }

  get unreadBytes(): number {
    return this.#unread.bytes
  }

  /** How much has passed, where all answers wait for their readers; `undefined` where a handler is still at work. */
  get waitingForReaders(): number | undefined {
    return this.#calls.waitsForReader && this.#answers.waitsForReader
      ? this.counters.bytesSent + this.counters.bytesReceived
      : undefined
  }

  /**
   * Grows with every sign of life. It grows by itself while silence says nothing: Go's callers answer no pings while they
   * wait for no answer, and this end hears nothing while it does not read.
   */
  get heard(): number {
    if (!this.#listens || this.#isFull) this.#controlsReceived++
    return this.counters.messagesReceived + this.#controlsReceived
  }

  open(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    handler: StreamHandler
  ): MuxStream | StreamFailure {
    if (this.#closedBy !== undefined) return { ...this.#closedBy, outcome: "not-sent" }
    return this.#isClosing ? leaving : this.#calls.open(method, target, fields, end, handler)
  }

  respond(stream: MuxStream, status: number, fields: Fields, end: boolean): undefined {
    if (stream instanceof Answer && stream.state.local === "head") this.#answers.respond(stream, status, fields, end)
    return undefined
  }

  write(stream: MuxStream, chunk: Uint8Array): boolean {
    if (stream.state.local !== "body" || chunk.length === 0) return true
    if (stream instanceof Answer) {
      const hasRoom = this.#answers.write(stream, chunk)
      this.#countWritten(chunk.length)
      return hasRoom
    }
    // Calls of wire v1 are small.
    if (stream instanceof Call) this.#calls.write(stream, chunk)
    return true
  }

  #countWritten(bytes: number): void {
    this.#written += bytes
    if (this.#written < unsentStep) return
    this.#written = 0
    this.#options.host.onUnsent()
  }

  finish(stream: MuxStream): void {
    if (stream.state.local !== "body") return
    if (stream instanceof Answer) this.#answers.finish(stream)
    else if (stream instanceof Call) this.#calls.finish(stream)
  }

  consumed(stream: MuxStream, bytes: number): void {
    this.#unread.consumed(stream, bytes)
  }

  reset(stream: MuxStream, _code: number, reason: string): void {
    if (stream.isClosed) return
    this.counters.resetsSent++
    if (stream instanceof Answer) this.#answers.spoil(stream, reason)
    else if (stream instanceof Call) this.#calls.giveUp(stream)
  }

  stopReading(stream: MuxStream): void {
    if (stream instanceof Answer) this.#answers.stopReading(stream)
  }

  ping(data: Uint8Array): void {
    const idle = this.#answers.count === 0 && !this.#answers.isArriving
    this.#pingedIdle = idle ? this.counters.streamsAccepted : undefined
    this.#sendsControl(data)
    this.#options.controls?.ping(data)
  }

  #sendsControl(data: Uint8Array): void {
    this.#calls.largestControl = Math.max(this.#calls.largestControl, data.length)
  }

  goAway(_code?: number, _reason?: string, last = false): void {
    this.#isClosing = last
    this.#answers.goAway()
  }

  /** Ends all exchanges. Wire v1 has no RESET: callers get 500, and responses that were sent in part stay incomplete. */
  cancelAll(reason: string): void {
    const failure = { code: ErrorCode.CANCELLED, reason }
    this.#calls.cancelAll(failure)
    this.#answers.cancelAll(failure)
  }

  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome: Outcome = "unknown"): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = { ...failure, by: "connection", outcome: "not-sent" }
    this.#calls.fail(failure, outcome)
    this.#answers.fail(failure, outcome)
    this.#options.host.onReadable()
  }

  linkLost(): void {}

  isReadable(): boolean {
    return !this.#isFull
  }

  /**
   * The peer is not read from while an application does not read, or more of its requests wait than may; but what arrives
   * already, or answers a call that a handler waits for, has to arrive.
   */
  get #isFull(): boolean {
    if (this.#closedBy !== undefined) return false
    const { limits: { maxUnread }, local: { maxConcurrentStreams, streamWindow } } = this.#options
    const { bytes } = this.#unread
    if (this.#calls.sent > 0) return bytes > maxUnread || this.#calls.unread > streamWindow
    const isWorking = this.#answers.count >= Math.max(1, maxConcurrentStreams)
    return bytes > streamWindow || (isWorking && !this.#answers.isArriving)
  }

  receive(message: Uint8Array | string): Violation | undefined {
    if (this.#closedBy !== undefined) return undefined
    const bytes = bytesOf(message)
    this.counters.messagesReceived++
    this.counters.bytesReceived += bytes.length
    // B2, B8: Go sends empty messages.
    if (bytes.length === 0) return undefined
    const awaited = this.#calls.sent > 0
    if (this.#calls.isArriving) return this.#calls.receive(bytes, this.#stops)
    if (this.#answers.isArriving) return this.#answers.receive(bytes, awaited, this.#stops)
    return this.#begin(bytes, awaited)
  }

  /** Passes over blank lines (B11: what Go overlooks behind a message), and takes the message behind them. */
  #begin(bytes: Uint8Array, awaited: boolean): Violation | undefined {
    const { length } = bytes
    this.#blank = undefined
    let at = 0
    while (at < length && isLineEnd(bytes[at]!)) {
      at++
      if (at % blankPiece === 0 && at < length && this.#stops()) {
        this.#blank = { rest: bytes.subarray(at), awaited }
        return undefined
      }
    }
    if (at === length) return undefined
    const rest = bytes.subarray(at)
    return isResponse(rest, awaited)
      ? this.#calls.receive(rest, this.#stops)
      : this.#answers.receive(rest, awaited, this.#stops)
  }

  /** True if a message was handled only in part. `receiveRest` continues it. */
  get isReceiving(): boolean {
    return this.#blank !== undefined || this.#answers.isStopped || this.#calls.isStopped
  }

  receiveRest(): Violation | undefined {
    if (this.#blank !== undefined) return this.#begin(this.#blank.rest, this.#blank.awaited)
    return this.#answers.isStopped ? this.#answers.goOn(this.#stops) : this.#calls.goOn(this.#stops)
  }

  readonly #stops = (): boolean => this.#options.isTurnOver?.(1) === true

  pull(): Uint8Array<ArrayBuffer> | string | undefined {
    if (this.#isClosing && !this.#answers.isWritten) return undefined
    this.#calls.gather()
    // A message must be complete before another one begins.
    const mayCall = !this.#isClosing && !this.#answers.isLeaving
    const call = mayCall ? this.#calls.next() : undefined
    // Its answer is read although nothing else may be.
    if (call !== undefined) this.#options.host.onReadable()
    const message = call ?? this.#answers.next()
    if (message === undefined) return undefined
    this.counters.messagesSent++
    this.counters.bytesSent += message.length
    return asMessage(message)
  }
}

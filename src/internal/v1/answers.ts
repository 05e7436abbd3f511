/**
 * Calls of the peer on wire v1, and this end's answers, in the order of the calls (PROTOCOL-v1.md, "Wire v1").
 */
import * as Bytes from "effect/Bytes"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { maxTargetLength } from "../frame/grammar.ts"
import { RateLimit } from "../streams/rateLimit.ts"
import type { Counters } from "../streams/settings.ts"
import { accepted } from "../streams/state.ts"
import { ignoring, MuxStream, type Outcome, type StreamFailure } from "../streams/stream.ts"
import {
  bytesOf,
  chunkEnd,
  chunkStart,
  correlationField,
  correlationIdsOf,
  formatHead,
  isBodiless,
  lastChunk,
  statusLine,
  without
} from "./format.ts"
import type { Head } from "./messageHead.ts"
import type { ExchangesOptions } from "./options.ts"
import { MessageParser } from "./parser.ts"
import type { Unread } from "./unread.ts"

/** Bytes of a body in one message: few enough that other connections have their turn. */
const maxPart = 32 * 1024

/** A Go caller waits 10 s. A response sent after so many milliseconds may still arrive in time. */
const goTimeout = 9000
const grace = 800

/** What is read within this time of the handshake may have come before its end, in milliseconds. */
const firstTurn = 100

/** Of this many times the requests that may be in progress those beyond are answered 503; the connection bears no more. */
const maxOverrun = 10

/** How the end of a response's body is marked. */
type Framing = "length" | "chunked"

/** A call of the peer, and this end's answer. @internal */
export class Answer extends MuxStream {
  readonly method: string
  readonly correlationId: string | undefined
  head: { readonly status: number; readonly fields: Fields } | undefined
  /** Present once the head was sent. */
  framing: Framing | undefined
  /** When the request came, or may have come at the earliest. */
  readonly since: number
  /** Ends the wait for the head. */
  stopTimer: (() => void) | undefined

  constructor(id: number, method: string, end: boolean, correlationId: string | undefined, since: number) {
    super({
      id,
      handler: ignoring,
      state: end ? accepted.endReceived! : accepted,
      fields: [],
      request: undefined,
      credit: 0,
      window: 0
    })
    this.method = method
    this.correlationId = correlationId
    this.since = since
  }
}

const statusOf = (code: number): number => {
  switch (code) {
    case ErrorCode.MALFORMED:
      return 400
    case ErrorCode.HEAD_TOO_LARGE:
      return 431
    case ErrorCode.NOT_SERVING:
    case ErrorCode.REFUSED_STREAM:
      return 503
    default:
      return 500
  }
}

const startOfRequest = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [^ \r\n]+ HTTP\/1\.[01]\r?\n/

/** Whether bytes begin a request. No head continues like this, so the bytes before them were none. */
const beginsRequest = (bytes: Uint8Array): boolean =>
  startOfRequest.test(String.fromCharCode(...bytes.subarray(0, maxTargetLength + 64)))

/** @internal */
export class Answers {
  readonly #options: ExchangesOptions
  readonly #onPending: () => void
  readonly #counters: Counters
  readonly #unread: Unread
  readonly #parser: MessageParser
  readonly #faults: RateLimit
  /** In the order in which the requests came. */
  readonly #answers: Array<Answer> = []
  /** This end waited for an answer when the message came that is taken in. */
  #awaited = false
  /** The request that is arriving. */
  #arriving: Answer | undefined
  readonly #bornAt: number
  #nextId = 1
  #draining = false

  constructor(options: ExchangesOptions, onPending: () => void, counters: Counters, unread: Unread) {
    this.#options = options
    this.#onPending = onPending
    this.#counters = counters
    this.#unread = unread
    const { limits, local, now } = options
    this.#bornAt = now()
    this.#faults = new RateLimit(limits.resetsPerSecond, limits.resetBurst, now)
    this.#parser = new MessageParser("REQUEST", local.maxHeadSize, {
      onHead: (head) => this.#onHead(head),
      onBody: (data) => this.#onBody(data),
      onEnd: () => this.#onEnd()
    })
  }

  /** Requests whose response is not complete. */
  get count(): number {
    return this.#answers.length
  }

  get unsentBytes(): number {
    return this.#answers.reduce((bytes, { buffered }) => bytes + buffered, 0)
  }

  /** A request has begun to arrive. */
  get isArriving(): boolean {
    return this.#parser.busy
  }

  /** The answer whose turn it is has been written, as far as it goes, and has not left. */
  get waitsForReader(): boolean {
    const answer = this.#answers[0]
    return answer === undefined || (answer.head !== undefined && (answer.isWritten || answer.buffered > 0))
  }

  /** The handler of the answer whose turn it is has written all of it. */
  get isWritten(): boolean {
    return this.#answers[0]?.isWritten ?? false
  }

  /** An answer has begun to leave, and nothing may come in between. */
  get isLeaving(): boolean {
    return this.#answers[0]?.framing !== undefined
  }

  /**
   * A request that can't be read is answered, and the next message is another one; unless an answer is `awaited`, which it
   * may have been meant for.
   */
  receive(bytes: Uint8Array, awaited: boolean, stops?: () => boolean): Violation | undefined {
    this.#awaited = awaited
    if (this.#parser.inHead && beginsRequest(bytes)) {
      this.#parser.reset()
      const fault = this.#answerFault(violation(ErrorCode.MALFORMED, "this is not HTTP/1.1"))
      if (fault !== undefined) return fault
    }
    return this.#answerFault(this.#parser.execute(bytes, stops))
  }

  /** Bytes were taken in part: `goOn` takes the rest. */
  get isStopped(): boolean {
    return this.#parser.isStopped
  }

  goOn(stops?: () => boolean): Violation | undefined {
    return this.#answerFault(this.#parser.goOn(stops))
  }

  #answerFault(fault: Violation | undefined): Violation | undefined {
    if (fault === undefined) return undefined
    if (fault.code === ErrorCode.EXCESSIVE_LOAD || (this.#awaited && this.#arriving === undefined)) return fault
    if (!this.#faults.take()) return violation(ErrorCode.EXCESSIVE_LOAD, "too many requests were malformed")
    let answer = this.#arriving
    this.#arriving = undefined
    if (answer === undefined) {
      answer = new Answer(this.#nextId++, "GET", true, undefined, this.#options.now())
      this.#answers.push(answer)
    }
    this.#check(answer, fault)
    return undefined
  }

  respond(answer: Answer, status: number, fields: Fields, end: boolean): void {
    answer.stopTimer?.()
    answer.stopTimer = undefined
    answer.head = { status, fields }
    answer.state = end ? answer.state.written : answer.state.headSent
    this.#onPending()
  }

  write(answer: Answer, chunk: Uint8Array): boolean {
    answer.push(chunk)
    this.#onPending()
    if (answer.buffered < this.#options.limits.sendBuffer) return true
    answer.blocked = true
    return false
  }

  finish(answer: Answer): void {
    answer.state = answer.state.written
    // Of a body with a length the end needs no message.
    if (answer.framing === "length" && answer.buffered === 0) this.#end(answer)
    else this.#onPending()
  }

  /** The handler has failed. The peer must not take a part of the response for the whole. */
  spoil(answer: Answer, reason: string): void {
    if (answer.state.local === "end") return
    if (answer.framing !== undefined) return this.#options.host.onBroken(reason)
    answer.dropBuffered()
    this.respond(answer, 500, [], true)
    this.stopReading(answer)
  }

  stopReading(answer: Answer): void {
    answer.state = answer.state.handlerDone
    this.#unread.release(answer)
  }

  /** Wire v1 has no GOAWAY: further requests get 503. */
  goAway(): void {
    this.#draining = true
  }

  /** Ends all handlers, and tells the peer as far as wire v1 allows it. */
  cancelAll(failure: Omit<StreamFailure, "outcome" | "by">): void {
    for (const answer of this.#answers.slice()) {
      this.spoil(answer, failure.reason)
      answer.handler.onFailure({ ...failure, by: "connection", outcome: "unknown" })
    }
  }

  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome: Outcome): void {
    const answers = new Set(this.#answers.splice(0))
    // It may have been answered while it was arriving.
    if (this.#arriving !== undefined) answers.add(this.#arriving)
    for (const answer of answers) {
      answer.stopTimer?.()
      this.#unread.fail(answer, { ...failure, by: "connection", outcome })
    }
  }

  /** The next message of the current response. It is never empty (B8, B11). */
  next(): Uint8Array<ArrayBuffer> | undefined {
    const answer = this.#answers[0]
    if (answer?.head === undefined) return undefined
    return answer.framing === undefined ? this.#begin(answer, answer.head) : this.#part(answer, [])
  }

  #begin(answer: Answer, { fields, status }: NonNullable<Answer["head"]>): Uint8Array<ArrayBuffer> | undefined {
    // This end was too busy even to say so in time, or with the answers before.
    if (this.#options.now() - answer.since > Math.max(this.#options.responseTimeout, goTimeout) + grace) {
      this.#options.host.onBroken("an answer would have come too late for a Go caller")
      return undefined
    }
    const { buffered, correlationId, isWritten, method } = answer
    const declared = fields.find(([name]) => name === "content-length")?.[1]
    // The request's own id, once: a second one would shadow it. Trailers are not sent, and Go takes not every name of one.
    const sent: Array<readonly [string, string]> = [...without(fields, "content-length", "trailer", correlationField)]
    const bodiless = isBodiless(method, status)
    if (bodiless) {
      answer.dropBuffered()
      answer.state = answer.state.written
      // B9, B10: Go waits for the body of whatever length it is told, after HEAD too, and for none without an end.
      if (method === "HEAD" && status !== 204 && status !== 304) sent.push(["content-length", "0"])
    } else if (isWritten) {
      sent.push(["content-length", String(buffered)])
    } else {
      sent.push(declared === undefined ? ["transfer-encoding", "chunked"] : ["content-length", declared])
    }
    if (!sent.some(([name]) => name === "date")) sent.push(["date", this.#options.date()])
    if (correlationId !== undefined) sent.push([correlationField, correlationId])
    answer.framing = isWritten || bodiless || declared !== undefined ? "length" : "chunked"
    this.#counters.framesSent++
    return this.#part(answer, [formatHead(statusLine(status), sent)])
  }

  #part(answer: Answer, parts: Array<Uint8Array>): Uint8Array<ArrayBuffer> | undefined {
    const size = Math.min(answer.buffered, maxPart)
    const isChunked = answer.framing === "chunked"
    if (size > 0) {
      if (isChunked) parts.push(chunkStart(size))
      parts.push(...answer.take(size))
      if (isChunked) parts.push(chunkEnd)
    }
    if (answer.isWritten && answer.buffered === 0) {
      if (isChunked) parts.push(lastChunk)
      this.#end(answer)
    } else if (answer.blocked && answer.buffered < this.#options.limits.sendBuffer / 2) {
      answer.blocked = false
      answer.handler.onWritable()
    }
    return parts.length === 0 ? undefined : Bytes.concat(parts)
  }

  #end(answer: Answer): void {
    answer.state = answer.state.endSent
    if (answer.state.remote === "end") this.#unread.release(answer)
    this.#answers.shift()
    this.#onPending()
  }

  #onHead(head: Head): boolean | Violation {
    const most = this.#options.local.maxConcurrentStreams
    if (this.#answers.length > most * maxOverrun) {
      return violation(ErrorCode.EXCESSIVE_LOAD, "too many requests wait for their answers")
    }
    this.#counters.framesReceived++
    this.#counters.streamsAccepted++
    const { fields, length, method, target } = head
    const end = length === undefined || length === 0
    const { host, now, responseTimeout, waited } = this.#options
    const since = now() - (now() - this.#bornAt < firstTurn ? waited : 0)
    const answer = new Answer(this.#nextId++, method, end, correlationIdsOf(fields)[0], since)
    this.#answers.push(answer)
    this.#arriving = answer
    if (this.#draining || this.#answers.length > Math.max(1, most)) {
      answer.state = answer.state.handlerDone
      this.respond(answer, 503, [["retry-after", "1"]], true)
      return false
    }
    // B4: a Go caller panics when a response comes after more than 10 s.
    answer.stopTimer = host.delay(Math.max(0, responseTimeout - (now() - since)), () => this.#late(answer))
    const { id: streamId } = answer
    const refused = host.onRequest(answer, { _tag: "Request", streamId, end, method, target, fields })
    if (refused !== undefined) {
      answer.state = answer.state.handlerDone
      this.#setText(answer, statusOf(refused.code), refused.reason)
    }
    return false
  }

  #onBody(data: Uint8Array): void {
    const answer = this.#arriving
    if (answer !== undefined && answer.state.handler !== "done") this.#check(answer, this.#unread.give(answer, data))
  }

  #onEnd(): void {
    const answer = this.#arriving
    this.#arriving = undefined
    if (answer === undefined) return
    this.#check(answer, this.#unread.end(answer))
    // What a handler has not read yet counts until it has answered: many may wait so.
    if (answer.state.local === "end") this.#unread.release(answer)
  }

  #late(answer: Answer): void {
    if (answer.state.local !== "head") return
    this.#setText(answer, 504, "the handler has taken too long to answer")
    answer.handler.onStopSending()
  }

  /** Handles a message that breaks a rule of its exchange. */
  #check(answer: Answer, fault: Violation | undefined): void {
    if (fault === undefined) return
    answer.state = answer.state.endReceived ?? answer.state
    this.#unread.release(answer)
    this.#setText(answer, statusOf(fault.code), fault.reason)
    answer.handler.onFailure({ ...fault, by: "local", outcome: "unknown" })
  }

  #setText(answer: Answer, status: number, reason: string): void {
    if (answer.state.local !== "head") return
    this.respond(answer, status, [["content-type", "text/plain; charset=utf-8"]], false)
    answer.push(bytesOf(`${reason}\n`))
    answer.state = answer.state.written
  }
}

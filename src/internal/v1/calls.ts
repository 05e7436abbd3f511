/**
 * Calls of this end on wire v1: one request at a time, in one message, and its answer (PROTOCOL-v1.md, "Wire v1").
 */
import * as Bytes from "effect/Bytes"
import * as MutableList from "effect/MutableList"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import type { Counters } from "../streams/settings.ts"
import { requested } from "../streams/state.ts"
import { MuxStream, type Outcome, type StreamFailure, type StreamHandler } from "../streams/stream.ts"
import { correlationField, correlationIdsOf, formatHead, isBodiless, requestLine, without } from "./format.ts"
import type { Head } from "./messageHead.ts"
import type { ExchangesOptions } from "./options.ts"
import { MessageParser } from "./parser.ts"
import type { Unread } from "./unread.ts"

/** A call of this end. @internal */
export class Call extends MuxStream {
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly correlationId: string
  /** The whole request, until it is sent. */
  message: Uint8Array<ArrayBuffer> | undefined
  hasBody = false
  /** The caller no longer waits for the response. */
  abandoned = false
  /** Stops the timer that limits the wait for its end. */
  stopTimer: (() => void) | undefined

  constructor(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    correlationId: string,
    handler: StreamHandler
  ) {
    super({
      id: 0,
      handler,
      state: end ? requested.endSent : requested,
      fields: [],
      request: undefined,
      credit: 0,
      window: 0
    })
    this.method = method
    this.target = target
    this.fields = fields
    this.correlationId = correlationId
  }
}

/** A shorter queue is not worth compacting. */
const minCompacted = 64

/** @internal */
export class Calls {
  readonly #options: ExchangesOptions
  readonly #onPending: () => void
  readonly #counters: Counters
  readonly #unread: Unread
  readonly #parser: MessageParser
  /** Complete requests that wait until they can be sent. */
  readonly #queue = MutableList.make<Call>()
  /** Requests whose body is not complete. */
  readonly #gathering = new Set<Call>()
  /** Those among them whose body has not been asked for. */
  readonly #unasked = new Set<Call>()
  /** The one call that the peer is answering. */
  #current: Call | undefined
  /** An interim response arrives, and not the final one. */
  #interim = false
  #nextId = 1
  /** Calls that were not sent. */
  waiting = 0
  /** Bytes of the largest ping or pong that this end has sent. */
  largestControl = 0

  constructor(options: ExchangesOptions, onPending: () => void, counters: Counters, unread: Unread) {
    this.#options = options
    this.#onPending = onPending
    this.#counters = counters
    this.#unread = unread
    this.#parser = new MessageParser("RESPONSE", options.local.maxHeadSize, {
      onHead: (head) => this.#onHead(head),
      onBody: (data) => this.#onBody(data),
      onEnd: () => this.#onEnd()
    })
  }

  /** Calls that were sent and not answered. */
  get sent(): number {
    return this.#current === undefined ? 0 : 1
  }

  /** Bytes of the answer that have arrived, and that the caller has not read. */
  get unread(): number {
    return this.#current?.unread ?? 0
  }

  /** An answer has begun to arrive. */
  get isArriving(): boolean {
    return this.#parser.busy
  }

  /** There is no call whose answer has not begun, or is being read. */
  get waitsForReader(): boolean {
    return this.#current === undefined ? this.waiting === 0 : this.#current.unread > 0
  }

  receive(bytes: Uint8Array, stops?: () => boolean): Violation | undefined {
    return this.#parser.execute(bytes, stops)
  }

  /** Bytes were taken in part: `goOn` takes the rest. */
  get isStopped(): boolean {
    return this.#parser.isStopped
  }

  goOn(stops?: () => boolean): Violation | undefined {
    return this.#parser.goOn(stops)
  }

  open(method: string, target: string, fields: Fields, end: boolean, handler: StreamHandler): Call {
    const given = correlationIdsOf(fields)[0]
    const correlationId = given ?? this.#options.correlationId()
    const all: Fields = given === undefined
      ? [...fields, [correlationField, correlationId]]
      : [...without(fields, correlationField), [correlationField, given]]
    const call = new Call(method, target, all, end, correlationId, handler)
    this.waiting++
    if (end) {
      this.#enqueue(call)
    } else {
      // B7: Go wants the whole request in one message, so that it waits for its body first.
      this.#gathering.add(call)
      this.#unasked.add(call)
      this.#onPending()
    }
    return call
  }

  write(call: Call, chunk: Uint8Array): void {
    call.push(chunk)
    if (call.buffered > this.#maxSize) this.#refuse(call, call.buffered)
  }

  finish(call: Call): void {
    call.state = call.state.endSent
    this.#enqueue(call)
  }

  /** The caller has gone. */
  giveUp(call: Call): void {
    if (call !== this.#current) return this.#drop(call)
    call.abandoned = true
    call.state = call.state.closed
    this.#unread.release(call)
    // The peer answers all the same, and the next call must wait for that: Go can't tell answers apart (B3).
    call.stopTimer = this.#options.host.delay(this.#options.stallTimeout, () => {
      if (this.#current !== call) return
      this.#options.host.onBroken("the peer does not end the answer of a call that was given up")
    })
  }

  cancelAll(failure: Omit<StreamFailure, "outcome" | "by">): void {
    const sent = this.#current
    for (const call of [...this.#gathering, ...MutableList.takeAll(this.#queue)]) {
      if (call.isClosed) continue
      this.#drop(call)
      call.handler.onFailure({ ...failure, by: "connection", outcome: "not-sent" })
    }
    if (sent === undefined || sent.abandoned) return
    this.giveUp(sent)
    sent.handler.onFailure({ ...failure, by: "connection", outcome: "unknown" })
  }

  fail(failure: Omit<StreamFailure, "outcome" | "by">, outcome: Outcome): void {
    const sent = this.#current
    const waiting = [...this.#gathering, ...MutableList.takeAll(this.#queue)]
    this.#current = undefined
    this.#gathering.clear()
    for (const call of waiting) {
      if (call.isClosed) continue
      this.waiting--
      this.#unread.fail(call, { ...failure, by: "connection", outcome: "not-sent" })
    }
    sent?.stopTimer?.()
    if (sent !== undefined) this.#unread.fail(sent, { ...failure, by: "connection", outcome })
  }

  /** Begins the bodies of requests that are to be gathered. */
  gather(): void {
    if (this.#unasked.size === 0) return
    const unasked = [...this.#unasked]
    this.#unasked.clear()
    for (const call of unasked) call.handler.onSent?.()
  }

  /** The next request, if the peer may be sent one: Go answers one call at a time (B2). */
  next(): Uint8Array<ArrayBuffer> | undefined {
    while (this.#current === undefined && this.#queue.length > 0) {
      const call = MutableList.take(this.#queue) as Call
      const { message } = call
      // The call was given up while it waited.
      if (message === undefined) continue
      if (this.#isTooLarge(call, message)) {
        this.#refuse(call, message.length)
        continue
      }
      this.waiting--
      call.id = this.#nextId++
      call.message = undefined
      this.#current = call
      this.#counters.streamsOpened++
      this.#counters.framesSent++
      return message
    }
    return undefined
  }

  #enqueue(call: Call): void {
    this.#gathering.delete(call)
    const body: Array<Uint8Array> = []
    const { buffered, method } = call
    if (buffered > 0) body.push(...call.take(buffered))
    // Go reads requests without a length as requests without a body.
    const fields = without(call.fields, "content-length", "trailer")
    const hasLength = buffered > 0 || /^(?:POST|PUT|PATCH)$/.test(method)
    const message = Bytes.concat([
      formatHead(
        requestLine(method, call.target),
        hasLength ? [...fields, ["content-length", String(buffered)]] : fields
      ),
      ...body
    ])
    call.hasBody = buffered > 0
    if (this.#isTooLarge(call, message)) return this.#refuse(call, message.length)
    call.message = message
    MutableList.append(this.#queue, call)
    this.#onPending()
  }

  /** B1: pings and pongs with much data take their share of what Go reads first. Two of them may come before a request. */
  get #maxSize(): number {
    return this.#options.maxRequestSize - 2 * this.largestControl
  }

  /** B1: Go cuts bodies that its first read does not hold. Heads it reads to their end. */
  #isTooLarge(call: Call, message: Uint8Array): boolean {
    return call.hasBody && message.length > this.#maxSize
  }

  #refuse(call: Call, size: number): void {
    this.#drop(call)
    const maxRequestSize = this.#maxSize
    call.handler.onFailure({
      code: ErrorCode.FRAME_SIZE_ERROR,
      reason: `the request has ${size} bytes or more; with a body, this peer of wire v1 takes ${maxRequestSize}`,
      by: "local",
      outcome: "not-sent"
    })
  }

  /** A call that was not sent leaves the queue. */
  #drop(call: Call): void {
    call.state = call.state.closed
    call.message = undefined
    call.dropBuffered()
    this.#gathering.delete(call)
    this.#unasked.delete(call)
    this.waiting--
    if (this.#queue.length > minCompacted && this.#queue.length > this.waiting * 2) {
      MutableList.filter(this.#queue, (waiting) => waiting.message !== undefined)
    }
    this.#onPending()
  }

  #onHead(head: Head): boolean | Violation {
    this.#counters.framesReceived++
    const { fields, length, status } = head
    const call = this.#current
    if (call === undefined) return violation(ErrorCode.PROTOCOL_ERROR, "an answer to no call")
    if (status === 101) return violation(ErrorCode.PROTOCOL_ERROR, "there is nothing to switch protocols to")
    // RFC 9110 section 15.2: the answer follows.
    this.#interim = status < 200
    if (this.#interim) return true
    const ids = correlationIdsOf(fields)
    // Go sends it twice where a handler sets its own: the last one is the request's.
    if (ids.length > 0 && !ids.includes(call.correlationId)) {
      return violation(ErrorCode.PROTOCOL_ERROR, "an answer to another call, by its x-correlation-id")
    }
    const bodiless = isBodiless(call.method, status)
    if (!bodiless && length === undefined) {
      return violation(ErrorCode.MALFORMED, "an answer whose end can't be known: neither a length nor chunks")
    }
    if (call.abandoned) return bodiless
    const end = bodiless || length === 0
    const next = call.state.headReceived ?? call.state
    call.state = (end ? next.endReceived : undefined) ?? next
    this.#check(call, call.handler.onResponse(status, fields, end))
    return bodiless
  }

  #onBody(data: Uint8Array): void {
    const call = this.#current
    if (call !== undefined && !call.abandoned) this.#check(call, this.#unread.give(call, data))
  }

  #onEnd(): void {
    const call = this.#current
    if (call === undefined || this.#interim) return
    if (!call.abandoned) {
      this.#check(call, this.#unread.end(call))
      // The response may never be read.
      this.#unread.release(call)
    }
    call.stopTimer?.()
    this.#current = undefined
    this.#onPending()
  }

  /** Handles a response that breaks a rule. Only this call fails. */
  #check(call: Call, fault: Violation | undefined): void {
    if (fault === undefined) return
    this.giveUp(call)
    call.handler.onFailure({ ...fault, by: "local", outcome: "unknown" })
  }
}

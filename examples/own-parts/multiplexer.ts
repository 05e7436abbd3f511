/**
 * A multiplexer of one's own: each message is one step of one exchange, as JSON text that anybody can read on the wire. It
 * sends what it is given in the order in which it is given it, and asks for credit as little as it can.
 */
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import type { Outcome } from "effect-swaggersocket/SwaggerSocketError"
import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"

type Message =
  | { readonly type: "request"; readonly id: number; readonly end: boolean; readonly head: Head }
  | { readonly type: "response"; readonly id: number; readonly end: boolean; readonly status: number } & Fielded
  | { readonly type: "data"; readonly id: number; readonly end: boolean; readonly bytes: string }
  | { readonly type: "taken"; readonly id: number; readonly bytes: number }
  | { readonly type: "reset"; readonly id: number; readonly code: number; readonly reason: string }
  | { readonly type: "leaving"; readonly last: number; readonly code: number; readonly reason: string }
  | { readonly type: "ping" | "pong"; readonly bytes: string }

interface Fielded {
  readonly fields: Multiplexer.Fields
}

interface Head extends Fielded {
  readonly method: string
  readonly target: string
}

/** Bytes of a body that may be under way, or wait unread at the other end. */
const window = 256 * 1024

const { ErrorCode } = Multiplexer

class Exchange implements Multiplexer.HttpStream {
  readonly id: number
  handler: Multiplexer.StreamHandler
  /** Which halves are over. */
  sent = false
  received = false
  answered = false
  /** What the other end takes now, and what waits until it takes more. */
  credit = window
  waiting: Array<Uint8Array> = []
  finished = false
  handled = false

  constructor(id: number, handler: Multiplexer.StreamHandler) {
    this.id = id
    this.handler = handler
  }

  get isClosed(): boolean {
    return this.sent && this.received
  }

  get isWritten(): boolean {
    return this.sent || this.finished
  }
}

const nobody: Multiplexer.StreamHandler = {
  onResponse: () => undefined,
  onData: () => undefined,
  onFailure() {},
  onStopSending() {},
  onWritable() {}
}

class JsonMultiplexer implements Multiplexer.Multiplexed {
  readonly counters = {
    messagesReceived: 0,
    messagesSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    framesReceived: 0,
    framesSent: 0,
    streamsOpened: 0,
    streamsAccepted: 0,
    resetsReceived: 0,
    resetsSent: 0
  }
  unreadBytes = 0
  /** Who drains a connection waits for its whole time. */
  readonly waitingForReaders = undefined
  readonly #host: Multiplexer.MultiplexerHost
  readonly #open = new Map<number, Exchange>()
  #queue: Array<Message> = []
  #nextId: number
  #lastOfPeer = 0
  #isLeaving = false
  #over: Omit<Multiplexer.StreamFailure, "outcome"> | undefined = undefined

  constructor(options: Multiplexer.MultiplexerOptions) {
    this.#host = options.host
    this.#nextId = options.role === "client" ? 1 : 2
  }

  get heard(): number {
    return this.counters.messagesReceived
  }

  get active() {
    let local = 0
    for (const { id } of this.#open.values()) if (this.#isOwn(id)) local++
    return { local, remote: this.#open.size - local, waiting: 0 }
  }

  #isOwn(id: number): boolean {
    return id % 2 === this.#nextId % 2
  }

  // --- what the application does

  open(method: string, target: string, fields: Multiplexer.Fields, end: boolean, handler: Multiplexer.StreamHandler) {
    if (this.#over !== undefined) return { ...this.#over, outcome: "not-sent" } as const
    const exchange = new Exchange(this.#nextId, handler)
    exchange.sent = end
    this.#nextId += 2
    this.counters.streamsOpened++
    this.#open.set(exchange.id, exchange)
    this.#send({ type: "request", id: exchange.id, end, head: { method, target, fields } })
    return exchange
  }

  respond(exchange: Exchange, status: number, fields: Multiplexer.Fields, end: boolean): undefined {
    if (exchange.answered || exchange.sent) return
    exchange.answered = true
    this.#send({ type: "response", id: exchange.id, end, status, fields })
    if (end) this.#ends(exchange, "sent")
  }

  write(exchange: Exchange, chunk: Uint8Array): boolean {
    if (exchange.isWritten) return true
    exchange.waiting.push(chunk)
    this.#sendBody(exchange)
    return exchange.waiting.length === 0
  }

  finish(exchange: Exchange): void {
    if (exchange.isWritten) return
    exchange.finished = true
    this.#sendBody(exchange)
  }

  #sendBody(exchange: Exchange): void {
    while (exchange.waiting.length > 0 && exchange.credit > 0) {
      const chunk = exchange.waiting[0]!
      const part = chunk.subarray(0, Math.min(exchange.credit, 16_384))
      exchange.credit -= part.length
      if (part.length === chunk.length) exchange.waiting.shift()
      else exchange.waiting[0] = chunk.subarray(part.length)
      this.#send({ type: "data", id: exchange.id, end: false, bytes: Base64.encode(part) })
    }
    if (!exchange.finished || exchange.waiting.length > 0) return
    this.#send({ type: "data", id: exchange.id, end: true, bytes: "" })
    this.#ends(exchange, "sent")
  }

  consumed(exchange: Exchange, bytes: number): void {
    this.unreadBytes -= bytes
    if (bytes > 0 && !exchange.received) this.#send({ type: "taken", id: exchange.id, bytes })
  }

  reset(exchange: Exchange, code: number, reason: string): void {
    if (exchange.isClosed) return
    this.counters.resetsSent++
    this.#send({ type: "reset", id: exchange.id, code, reason })
    this.#close(exchange)
  }

  stopReading(exchange: Exchange): void {
    if (exchange.sent) this.reset(exchange, ErrorCode.NO_ERROR, "")
  }

  ping(data: Uint8Array): void {
    this.#send({ type: "ping", bytes: Base64.encode(data) })
  }

  goAway(code: number, reason: string, last = false): void {
    if (last) this.#queue = this.#queue.filter(({ type }) => type !== "data")
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#send({ type: "leaving", last: this.#lastOfPeer, code, reason })
  }

  cancelAll(reason: string): void {
    const failure = { code: ErrorCode.CANCELLED, reason }
    for (const exchange of this.#open.values()) {
      this.#send({ type: "reset", id: exchange.id, ...failure })
      this.#fail(exchange, { ...failure, by: "local", outcome: "unknown" })
    }
  }

  fail(failure: Omit<Multiplexer.StreamFailure, "outcome" | "by">, outcome: Outcome = "unknown"): void {
    this.#over = { ...failure, by: "connection" }
    this.#queue.length = 0
    for (const exchange of this.#open.values()) this.#fail(exchange, { ...this.#over, outcome })
  }

  linkLost(): void {}

  // --- messages

  #send(message: Message): void {
    this.#queue.push(message)
    this.#host.onPending()
  }

  pull(): string | undefined {
    const message = this.#queue.shift()
    if (message === undefined) return undefined
    if (message.type === "request") this.#open.get(message.id)?.handler.onSent?.()
    const text = JSON.stringify(message)
    this.counters.messagesSent++
    this.counters.framesSent++
    this.counters.bytesSent += text.length
    return text
  }

  receive(text: Uint8Array | string): Multiplexer.Violation | undefined {
    this.counters.messagesReceived++
    this.counters.framesReceived++
    this.counters.bytesReceived += text.length
    // A program for more than one's own machines would check each member here.
    const message = JSON.parse(typeof text === "string" ? text : new TextDecoder().decode(text)) as Message
    switch (message.type) {
      case "request":
        return this.#onRequest(message.id, message.head, message.end)
      case "ping":
        this.#send({ type: "pong", bytes: message.bytes })
        this.#host.onPing(bytesOf(message.bytes))
        return undefined
      case "pong":
        this.#host.onPong(bytesOf(message.bytes))
        return undefined
      case "leaving":
        return this.#onLeaving(message.last, message.code, message.reason)
    }
    const exchange = this.#open.get(message.id)
    // It has ended here meanwhile.
    if (exchange === undefined) return undefined
    const { handler } = exchange
    switch (message.type) {
      case "response":
        return handler.onResponse(message.status, message.fields, message.end) ?? this.#received(exchange, message.end)
      case "data": {
        const bytes = bytesOf(message.bytes)
        this.unreadBytes += bytes.length
        return handler.onData(bytes, message.end) ?? this.#received(exchange, message.end)
      }
      case "taken": {
        const wasWaiting = exchange.waiting.length > 0
        exchange.credit += message.bytes
        this.#sendBody(exchange)
        if (wasWaiting && exchange.waiting.length === 0 && !exchange.isWritten) handler.onWritable()
        return undefined
      }
      case "reset":
        return this.#onReset(exchange, message.code, message.reason)
    }
  }

  #onRequest(id: number, head: Head, end: boolean): undefined {
    this.#lastOfPeer = id
    const exchange = new Exchange(id, nobody)
    exchange.received = end
    this.#open.set(id, exchange)
    this.counters.streamsAccepted++
    const refusal = this.#isLeaving
      ? { code: ErrorCode.REFUSED_STREAM, reason: "this end is leaving" }
      : this.#host.onRequest(exchange, { _tag: "Request", streamId: id, end, ...head })
    if (refusal !== undefined) this.reset(exchange, refusal.code, refusal.reason)
  }

  #onReset(exchange: Exchange, code: number, reason: string): undefined {
    this.counters.resetsReceived++
    if (this.#isOwn(exchange.id) && exchange.received) {
      this.#close(exchange)
      return exchange.handler.onStopSending() as undefined
    }
    const isUntouched = code === ErrorCode.REFUSED_STREAM || code === ErrorCode.NOT_SERVING
    this.#fail(exchange, { code, reason, by: "remote", outcome: isUntouched ? "not-processed" : "unknown" })
  }

  #onLeaving(last: number, code: number, reason: string): undefined {
    this.#over ??= { code: ErrorCode.REFUSED_STREAM, reason, by: "remote" }
    for (const exchange of this.#open.values()) {
      if (this.#isOwn(exchange.id) && exchange.id > last) {
        this.#fail(exchange, { ...this.#over, outcome: "not-processed" })
      }
    }
    this.#host.onGoAway({ _tag: "GoAway", lastStreamId: last, code, reason })
  }

  // --- the end of exchanges

  #received(exchange: Exchange, end: boolean): undefined {
    if (end) this.#ends(exchange, "received")
  }

  #ends(exchange: Exchange, half: "sent" | "received"): void {
    exchange[half] = true
    if (exchange.isClosed) this.#close(exchange)
  }

  #close(exchange: Exchange): void {
    exchange.sent = true
    exchange.received = true
    exchange.waiting = []
    if (this.#open.delete(exchange.id) && this.#open.size === 0) this.#host.onIdle()
  }

  #fail(exchange: Exchange, failure: Multiplexer.StreamFailure): void {
    this.#close(exchange)
    exchange.handler.onFailure(failure)
  }
}

const bytesOf = (base64: string): Uint8Array => Result.getOrThrow(Base64.decode(base64))

export const layer = Multiplexer.layer((options) => new JsonMultiplexer(options))

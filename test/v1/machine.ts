/**
 * Machines of wire v1 without sockets: nothing moves until the test says so, and time is a variable.
 */
import type { Violation } from "../../src/internal/frame/codes.ts"
import type { Fields } from "../../src/internal/frame/Frame.ts"
import type { MultiplexerHost } from "../../src/internal/streams/options.ts"
import type { MuxStream } from "../../src/internal/streams/stream.ts"
import { Exchanges } from "../../src/internal/v1/exchanges.ts"
import * as Limits from "../../src/Limits.ts"
import { type Accepted, Recorder } from "../streams/joined.ts"

/** What happens later, once `advance` has come there. */
export class FakeClock {
  now = 0
  readonly timers = new Set<{ readonly at: number; readonly run: () => void }>()

  readonly delay = (millis: number, run: () => void): () => void => {
    const timer = { at: this.now + millis, run }
    this.timers.add(timer)
    return () => {
      this.timers.delete(timer)
    }
  }

  advance(millis: number): void {
    this.now += millis
    const due = [...this.timers].filter((timer) => timer.at <= this.now).sort((a, b) => a.at - b.at)
    for (const timer of due) {
      // An earlier one may have stopped it.
      if (this.timers.delete(timer)) timer.run()
    }
  }
}

export interface EndOptions {
  readonly limits?: Limits.Options
  readonly maxRequestSize?: number
  readonly responseTimeout?: number
  readonly waited?: number
  readonly stallTimeout?: number
  readonly clock?: FakeClock
  /** Answers pings by itself, if it has them at all. */
  readonly controls?: boolean
  readonly role?: "client" | "server"
  readonly onRequest?: MultiplexerHost["onRequest"]
}

const today = "Tue, 15 Nov 1994 08:12:31 GMT"

/** The line that each answer has besides those of its handler. */
export const date = `Date: ${today}\r\n`

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const bytesOf = (message: Uint8Array | string): Uint8Array =>
  typeof message === "string" ? encoder.encode(message) : message

export const textOf = (message: Uint8Array | string): string =>
  typeof message === "string" ? message : decoder.decode(message)

/** Lines of a head, and what is behind it. */
export const lines = (...text: ReadonlyArray<string>): string => text.join("\r\n")

export const get = (target = "/", ...fields: ReadonlyArray<string>): string =>
  lines(`GET ${target} HTTP/1.1`, ...fields, "", "")

export const post = (target: string, body: string, ...fields: ReadonlyArray<string>): string =>
  lines(`POST ${target} HTTP/1.1`, `Content-Length: ${bytesOf(body).length}`, ...fields, "", body)

export const answer = (status: number, body: string, ...fields: ReadonlyArray<string>): string =>
  lines(`HTTP/1.1 ${status} `, `Content-Length: ${bytesOf(body).length}`, ...fields, "", body)

export class End {
  readonly clock: FakeClock
  readonly mux: Exchanges
  readonly accepted: Array<Accepted> = []
  pending = 0
  /** Messages, or 64 KiB of blank lines, after which what has arrived is taken no further for now. */
  turn = Infinity
  inTurn = 0
  idle = 0
  /** How often this end has said that it may be readable again. */
  readable = 0
  readonly broken: Array<string> = []
  readonly pings: Array<Uint8Array> = []
  readonly pongs: Array<Uint8Array> = []
  violation: Violation | undefined
  /** Answered to whatever is asked. */
  refuse: Violation | undefined
  /** What comes below the messages: pings that were sent, and how to be told of one, or of a pong. */
  readonly sentPings: Array<Uint8Array> = []
  hearPing: (data: Uint8Array) => void = () => {}
  hearPong: (data: Uint8Array) => void = () => {}

  constructor(options: EndOptions = {}) {
    const local = Limits.make(options.limits)
    this.clock = options.clock ?? new FakeClock()
    let ids = 0
    this.mux = new Exchanges({
      role: options.role ?? "server",
      local,
      remote: Limits.defaults,
      limits: local,
      now: () => this.clock.now,
      seed: 1,
      isTurnOver: () => ++this.inTurn % this.turn === 0,
      host: {
        roundTrip: () => undefined,
        onRequest: options.onRequest ?? ((stream, request) => {
          if (this.refuse !== undefined) return this.refuse
          const handler = new Recorder()
          stream.handler = handler
          this.accepted.push({ stream: stream as MuxStream, request, handler })
          return undefined
        }),
        onPong: (data) => this.pongs.push(data),
        onPing: (data) => this.pings.push(data),
        onAck: () => undefined,
        onGoAway() {},
        flush() {},
        onPending: () => this.pending++,
        onIdle: () => this.idle++,
        onReadable: () => this.readable++,
        onUnsent() {},
        onBroken: (reason) => this.broken.push(reason),
        delay: this.clock.delay
      },
      maxRequestSize: options.maxRequestSize ?? 1 << 20,
      waited: options.waited ?? 0,
      responseTimeout: options.responseTimeout ?? 9000,
      stallTimeout: options.stallTimeout ?? 30_000,
      correlationId: () => `id-${++ids}`,
      date: () => today,
      controls: options.controls === false ? undefined : {
        ping: (data) => this.sentPings.push(data),
        listen: (onPing, onPong) => {
          this.hearPing = onPing
          this.hearPong = onPong
        }
      }
    })
  }

  /** A call of this end. */
  call(
    method = "GET",
    target = "/",
    options: { readonly fields?: Fields; readonly end?: boolean; readonly handler?: Recorder } = {}
  ): { readonly stream: MuxStream; readonly handler: Recorder } {
    const handler = options.handler ?? new Recorder()
    const stream = this.mux.open(method, target, options.fields ?? [], options.end ?? true, handler)
    if ("outcome" in stream) throw new Error(stream.reason)
    return { stream, handler }
  }

  /** A call with a body that is known. */
  upload(target: string, body: Uint8Array | string): { readonly stream: MuxStream; readonly handler: Recorder } {
    const call = this.call("POST", target, { end: false })
    this.mux.write(call.stream, bytesOf(body))
    this.mux.finish(call.stream)
    return call
  }

  receive(message: Uint8Array | string): Violation | undefined {
    const violation = this.mux.receive(message)
    this.violation ??= violation
    return violation
  }

  /** A message that is nobody's fault. */
  take(...messages: ReadonlyArray<Uint8Array | string>): void {
    for (const message of messages) {
      const violation = this.receive(message)
      if (violation !== undefined) throw new Error(violation.reason)
    }
  }

  /** All that can be sent now. */
  send(): Array<string> {
    const messages: Array<string> = []
    for (let message = this.mux.pull(); message !== undefined; message = this.mux.pull()) messages.push(textOf(message))
    return messages
  }

  /** Answers a request whole. */
  respond(at: number, status = 200, body = "", fields: Fields = []): void {
    const { stream } = this.accepted[at]!
    this.mux.respond(stream, status, fields, body === "")
    if (body === "") return
    this.mux.write(stream, bytesOf(body))
    this.mux.finish(stream)
  }

  get targets(): Array<string> {
    return this.accepted.map(({ request }) => request.target)
  }

  get isReadable(): boolean {
    return this.mux.isReadable()
  }
}

/** Text of a body that a `Recorder` has. */
export const bodyOf = (handler: Recorder): string => textOf(Buffer.concat(handler.chunks))

export class Joined {
  readonly clock = new FakeClock()
  readonly client: End
  readonly server: End

  constructor(options: { readonly client?: EndOptions; readonly server?: EndOptions } = {}) {
    this.client = new End({ role: "client", ...options.client, clock: this.clock })
    this.server = new End({ ...options.server, clock: this.clock })
  }

  /** Delivers what one end has to say now, and answers the messages. */
  deliver(from: "client" | "server"): Array<string> {
    const [source, target] = from === "client" ? [this.client, this.server] : [this.server, this.client]
    const messages: Array<string> = []
    for (let message = source.mux.pull(); message !== undefined; message = source.mux.pull()) {
      messages.push(textOf(message))
      target.receive(message)
    }
    return messages
  }

  /** Delivers both ways until both ends are silent. */
  settle(): void {
    while (this.deliver("client").length + this.deliver("server").length > 0);
  }
}

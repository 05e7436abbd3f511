/**
 * Two multiplexers joined by hand: nothing moves until the test says so, and time is a variable.
 */
import type { Violation } from "../../src/internal/frame/codes.ts"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Decoded, Fields, Frame, GoAway, Request } from "../../src/internal/frame/Frame.ts"
import { Multiplexer } from "../../src/internal/streams/multiplexer.ts"
import type { MuxStream, StreamFailure, StreamHandler } from "../../src/internal/streams/stream.ts"
import * as Limits from "../../src/Limits.ts"

export class Recorder implements StreamHandler {
  status: number | undefined
  fields: Fields = []
  readonly chunks: Array<Uint8Array> = []
  ended = false
  failure: StreamFailure | undefined
  stopped = false
  writable = 0
  sent = 0
  /** What it finds wrong with all that it is told. */
  fault: Violation | undefined

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  onSent(): void {
    this.sent++
  }

  onResponse(status: number, fields: Fields, end: boolean): Violation | undefined {
    this.status = status
    this.fields = fields
    this.ended = end
    return this.fault
  }

  onData(data: Uint8Array, end: boolean): Violation | undefined {
    this.chunks.push(data)
    this.ended = end
    return this.fault
  }

  onFailure(failure: StreamFailure): void {
    this.failure = failure
  }

  onStopSending(): void {
    this.stopped = true
  }

  onWritable(): void {
    this.writable++
  }
}

export interface Accepted {
  readonly stream: MuxStream
  readonly request: Request
  readonly handler: Recorder
}

export class End {
  readonly mux: Multiplexer
  readonly accepted: Array<Accepted> = []
  pending = 0
  idle = 0
  unsent = 0
  flushed = 0
  readonly pings: Array<Uint8Array> = []
  readonly pongs: Array<Uint8Array> = []
  readonly acks: Array<number> = []
  readonly goAways: Array<GoAway> = []
  /** What is wrong with the next ACK. */
  wrongAck: Violation | undefined
  violation: Violation | undefined
  refuse: Violation | undefined
  onFlush = (): void => {}
  /** Frames after which a message is taken no further for now. */
  turn = Infinity
  #inTurn = 0

  constructor(
    role: "client" | "server",
    options: { readonly local?: Limits.Options; readonly remote?: Limits.Options },
    time: { now: number; roundTrip: number | undefined }
  ) {
    const local = Limits.make(options.local)
    this.mux = new Multiplexer({
      role,
      local,
      // Peers may announce what no end of this package would.
      remote: { ...Limits.defaults, ...options.remote as Partial<Limits.Limits> },
      limits: local,
      now: () => time.now,
      seed: 1,
      isTurnOver: (frames) => {
        this.#inTurn += frames
        if (this.#inTurn < this.turn) return false
        this.#inTurn = 0
        return true
      },
      host: {
        roundTrip: () => time.roundTrip,
        onRequest: (stream, request) => {
          if (this.refuse !== undefined) return this.refuse
          const handler = new Recorder()
          stream.handler = handler
          this.accepted.push({ stream: stream as MuxStream, request, handler })
          return undefined
        },
        onPong: (data) => this.pongs.push(data),
        onPing: (data) => this.pings.push(data),
        onAck: (received) => {
          this.acks.push(received)
          return this.wrongAck
        },
        onGoAway: (frame) => this.goAways.push(frame),
        flush: () => {
          this.flushed++
          this.onFlush()
        },
        onPending: () => this.pending++,
        onBroken() {},
        delay: () => () => {},
        onIdle: () => this.idle++,
        onReadable() {},
        onUnsent: () => this.unsent++
      }
    })
  }

  receive(message: Uint8Array): void {
    this.violation ??= this.mux.receive(message)
  }
}

export class Joined {
  readonly time: { now: number; roundTrip: number | undefined } = { now: 0, roundTrip: undefined }
  readonly client: End
  readonly server: End

  /** `announced`: what both say of themselves besides, whether or not it is so. */
  constructor(
    options: {
      readonly client?: Limits.Options
      readonly server?: Limits.Options
      readonly announced?: Limits.Options
    } = {}
  ) {
    const { announced = {}, client = {}, server = {} } = options
    this.client = new End("client", { local: client, remote: { ...server, ...announced } }, this.time)
    this.server = new End("server", { local: server, remote: { ...client, ...announced } }, this.time)
  }

  /** Delivers what one end has to say now, and answers the messages. */
  deliver(from: "client" | "server", atMost = Infinity): Array<Uint8Array> {
    const [source, target] = from === "client" ? [this.client, this.server] : [this.server, this.client]
    const messages: Array<Uint8Array> = []
    while (messages.length < atMost) {
      const message = source.mux.pull()
      if (message === undefined) break
      messages.push(message)
      target.receive(message)
    }
    return messages
  }

  /** Delivers both ways until both ends are silent. */
  settle(): void {
    while (this.deliver("client").length + this.deliver("server").length > 0);
  }

  /** A request of the client, as the server has it. */
  call(end = true, fields: Fields = [], target = "/"): {
    readonly handler: Recorder
    readonly stream: MuxStream
    readonly accepted: Accepted
  } {
    const handler = new Recorder()
    const stream = this.client.mux.open(end ? "GET" : "POST", target, fields, end, handler)
    if ("outcome" in stream) throw new Error(stream.reason)
    this.deliver("client")
    return { handler, stream, accepted: this.server.accepted[this.server.accepted.length - 1]! }
  }
}

/** The frames of messages that one end has made, from its first on. */
export const framesOf = (messages: ReadonlyArray<Uint8Array>): Array<Decoded> => {
  const decoder = new Decoder(Limits.defaults)
  const frames: Array<Decoded> = []
  for (const message of messages) {
    const violation = decoder.decode(message, (frame) => {
      frames.push(frame)
      return undefined
    })
    if (violation !== undefined) throw new Error(violation.reason)
  }
  return frames
}

/** A message of the peer that no end of this package would send. */
export const crafted = (...frames: ReadonlyArray<Frame>): Uint8Array => {
  const encoder = new Encoder(4096)
  for (const frame of frames) encoder.frame(frame)
  return encoder.take()
}

export const bytes = (size: number, fill = 0): Uint8Array => new Uint8Array(size).fill(fill)

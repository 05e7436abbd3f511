/**
 * The streams of a connection of another node: each is a stream of the link to that node, whose request names the connection. What is
 * written and read passes here untouched, so its credit, its priority and its resets are those of the link.
 */
import { ConnectionNotFound, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Fields } from "../frame/Frame.ts"
import { CONNECTION_LOST, connectionField, NO_SUCH_CONNECTION } from "../frame/relayCodes.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { type Counters, zeroCounters } from "../streams/settings.ts"
import type { HttpStream, StreamFailure, StreamHandler } from "../streams/stream.ts"

/** What the callers of a connection use of its multiplexer. Nothing else of it concerns them. */
type CallerStreams = Pick<
  Multiplexed,
  | "active"
  | "consumed"
  | "counters"
  | "finish"
  | "keep"
  | "open"
  | "reset"
  | "respond"
  | "stopReading"
  | "upgrades"
  | "write"
>

/** Tells the caller what the codes of node links mean. */
class RemoteCall implements StreamHandler {
  readonly #handler: StreamHandler
  readonly connectionId: string

  constructor(handler: StreamHandler, connectionId: string) {
    this.#handler = handler
    this.connectionId = connectionId
  }

  get onSent(): StreamHandler["onSent"] {
    return this.#handler.onSent
  }

  onResponse(status: number, fields: Fields, end: boolean): ReturnType<StreamHandler["onResponse"]> {
    return this.#handler.onResponse(status, fields, end)
  }

  onData(data: Uint8Array, end: boolean): ReturnType<StreamHandler["onData"]> {
    return this.#handler.onData(data, end)
  }

  onFailure(failure: StreamFailure): void {
    const handler = this.#handler
    const isOfNode = failure.by === "remote"
    if (isOfNode && failure.code === NO_SUCH_CONNECTION) {
      const reason = new ConnectionNotFound({ connectionId: this.connectionId })
      const error = new SwaggerSocketError({ reason, outcome: "not-processed" })
      if (handler.fail !== undefined) handler.fail(error)
      else handler.onFailure({ ...failure, outcome: "not-processed", cause: error })
      return
    }
    handler.onFailure(isOfNode && failure.code === CONNECTION_LOST ? { ...failure, by: "connection" } : failure)
  }

  onStopSending(): void {
    this.#handler.onStopSending()
  }

  onWritable(): void {
    this.#handler.onWritable()
  }
}

/** @internal */
export class RemoteStreams implements CallerStreams {
  readonly #link: Multiplexed
  readonly connectionId: string
  readonly counters: Counters = zeroCounters()
  #open: Array<HttpStream> = []
  /** How many there may be before those that have ended are looked for. */
  #lookAt = 64
  /** Why there are no more calls. */
  closedBy: StreamFailure | undefined

  constructor(link: Multiplexed, connectionId: string) {
    this.#link = link
    this.connectionId = connectionId
  }

  get upgrades(): boolean {
    return this.#link.upgrades === true
  }

  get active(): { readonly local: number; readonly remote: number; readonly waiting: number } {
    this.#forget()
    return { local: this.#open.length, remote: 0, waiting: 0 }
  }

  #forget(): void {
    this.#open = this.#open.filter((stream) => !stream.isClosed)
    this.#lookAt = 64 + 2 * this.#open.length
  }

  open(
    method: string,
    target: string,
    fields: Fields,
    end: boolean,
    handler: StreamHandler
  ): HttpStream | StreamFailure {
    if (this.closedBy !== undefined) return this.closedBy
    const named: Fields = [...fields, [connectionField, this.connectionId]]
    const stream = this.#link.open(method, target, named, end, new RemoteCall(handler, this.connectionId))
    if ("outcome" in stream) return stream
    this.counters.streamsOpened++
    if (this.#open.push(stream) > this.#lookAt) this.#forget()
    return stream
  }

  respond(...parameters: Parameters<Multiplexed["respond"]>): ReturnType<Multiplexed["respond"]> {
    return this.#link.respond(...parameters)
  }

  write(stream: HttpStream, chunk: Uint8Array): boolean {
    return this.#link.write(stream, chunk)
  }

  finish(stream: HttpStream): void {
    this.#link.finish(stream)
  }

  consumed(stream: HttpStream, bytes: number): void {
    this.#link.consumed(stream, bytes)
  }

  keep(stream: HttpStream, bytes: number): void {
    this.#link.keep?.(stream, bytes)
  }

  reset(stream: HttpStream, code: number, reason: string): void {
    this.counters.resetsSent++
    this.#link.reset(stream, code, reason)
  }

  stopReading(stream: HttpStream): void {
    this.#link.stopReading(stream)
  }
}

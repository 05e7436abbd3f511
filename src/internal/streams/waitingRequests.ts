/**
 * Requests that wait for the peer to allow more streams. They get their ids when they leave, so ids rise on the wire.
 */
import * as MutableList from "effect/MutableList"
import type { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import type { Outbound } from "./outbound.ts"
import type { MuxStream, RequestHead, StreamFailure } from "./stream.ts"

/** A shorter queue is not worth compacting. */
const minCompacted = 256

/**
 * A stream is in this queue, with id 0 and its request, until it is open or forgotten.
 *
 * @internal
 */
export class WaitingRequests {
  /** Those that were not forgotten. */
  size = 0
  /** Set once the peer sent GOAWAY or the connection is over: no request can be opened. */
  closedBy: StreamFailure | undefined = undefined
  readonly #queue = MutableList.make<MuxStream>()
  readonly #outbound: Outbound
  readonly #streams: OpenStreams
  readonly #maxOpen: number

  constructor(options: MultiplexerOptions, streams: OpenStreams, outbound: Outbound) {
    this.#outbound = outbound
    this.#streams = streams
    this.#maxOpen = options.remote.maxConcurrentStreams
  }

  get #mayOpen(): boolean {
    return this.closedBy === undefined && !this.#outbound.isClosing && this.#streams.local < this.#maxOpen
  }

  add(stream: MuxStream): void {
    this.size++
    MutableList.append(this.#queue, stream)
    if (this.#mayOpen) this.#outbound.onPending()
  }

  /** A stream of this end has closed, so the next one may be opened. */
  resume(): void {
    if (this.#queue.length > 0) this.#outbound.onPending()
  }

  /** Opens the next stream if its request fits into `room` bytes, and gives both. */
  next(room: number): { readonly stream: MuxStream; readonly request: RequestHead } | undefined {
    const queue = this.#queue
    while (queue.length > 0 && this.#mayOpen) {
      const stream = queue.head!.array[queue.head!.offset]!
      const request = stream.request
      if (request !== undefined && request.size > room) return undefined
      MutableList.take(queue)
      // Cancelled while it waited.
      if (request === undefined) continue
      this.size--
      stream.request = undefined
      stream.id = this.#streams.take()
      this.#streams.add(stream)
      if (stream.finished && stream.buffered === 0) this.#outbound.pushEnd(stream)
      stream.handler.onSent?.()
      return { stream, request }
    }
    return undefined
  }

  /** One of them will not be sent. They leave the queue when they are the greater part of it. */
  forget(stream: MuxStream): void {
    if (stream.request === undefined) return
    stream.request = undefined
    this.size--
    if (this.#queue.length > minCompacted && this.#queue.length > this.size * 2) {
      MutableList.filter(this.#queue, ({ request }) => request !== undefined)
    }
  }

  /** Empties the queue. What it had is to be failed. */
  takeAll(): Array<MuxStream> {
    return MutableList.takeAll(this.#queue)
  }

  toArray(): Array<MuxStream> {
    return MutableList.toArray(this.#queue)
  }
}

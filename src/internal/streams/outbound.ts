/**
 * What leaves: control frames first, then requests, then DATA in turns, packed into messages (PROTOCOL.md, "Scheduling" and
 * "Batching").
 */
import * as MutableList from "effect/MutableList"
import { Encoder, maxFrameOverhead } from "../frame/encoder.ts"
import type { Frame } from "../frame/Frame.ts"
import { maxReasonLength } from "../frame/grammar.ts"
import { SendCredit } from "./flowControl.ts"
import { SendQueue } from "./sendQueue.ts"
import type { Counters, Settings } from "./settings.ts"
import type { MuxStream, QueuedFrame, RequestHead } from "./stream.ts"

/** DATA is cut at this, so that streams take turns. */
const maxDataSize = 16 * 1024
/**
 * Messages are filled up to this: a full DATA frame, and what else may be due. Of larger ones a receiver has to put
 * together nearly all from several reads of its socket. With four times the size bodies are 0.8 times as fast.
 */
const maxBatchSize = maxDataSize + 512
/** Less room than this in a message is not worth a DATA frame of its own. */
const minDataSize = 1024

/** A shorter queue is not worth compacting. */
const minCompacted = 256

/** Bytes of a frame without text or fields, at most. @internal */
export const smallFrame = 32
/** Bytes of a frame with a reason, at most. @internal */
export const reasonFrame = smallFrame + maxReasonLength

/** @internal */
export interface Queueing {
  /** Upper bound of the frame's bytes. */
  readonly size: number
  /** The peer made this end queue it, so their number is limited. */
  readonly provoked?: boolean | undefined
  /** The stream that the frame goes with, if it is reset. */
  readonly stream?: MuxStream | undefined
  /** The stream ends on this side when the frame is written. */
  readonly end?: boolean | undefined
}

interface Queued extends Queueing, QueuedFrame {}

/** Where the requests come from, and who is told that a body has ended. @internal */
export interface OutboundSource {
  /** Opens the next stream if its request fits into `room` bytes, and gives both. */
  nextRequest(room: number): { readonly stream: MuxStream; readonly request: RequestHead } | undefined
  /** END of a stream was written. */
  sentEnd(stream: MuxStream): void
}

/** @internal */
export class Outbound {
  readonly credit: SendCredit
  /** Frames provoked by the peer that wait to be written. */
  provoked = 0
  /** Bytes of bodies that were written. */
  bodyBytes = 0
  /** Set once this end has said its last: what is queued by then leaves, and no request or DATA any more. */
  isClosing = false
  readonly #counters: Counters
  readonly #sendBuffer: number
  readonly #onPending: () => void
  readonly #encoder: Encoder
  readonly #maxMessage: number
  readonly #maxData: number
  readonly #control = MutableList.make<Queued>()
  /** Those among them whose stream was reset. */
  #dropped = 0
  readonly #linkFrames = MutableList.make<Queued>()
  readonly #sendQueue = new SendQueue()

  constructor(remote: Settings, sendBuffer: number, counters: Counters, onPending: () => void) {
    this.credit = new SendCredit(remote.connectionWindow)
    this.#encoder = new Encoder(remote.headTableSize)
    this.#maxMessage = Math.min(maxBatchSize, remote.maxMessageSize)
    this.#maxData = Math.min(maxDataSize, remote.maxFrameSize - maxFrameOverhead)
    this.#sendBuffer = sendBuffer
    this.#counters = counters
    this.#onPending = onPending
  }

  /** Queues a frame of the connection. */
  push(frame: Frame, { end, provoked, size, stream }: Queueing): void {
    if (provoked) this.provoked++
    const queued: Queued = { frame, size, provoked, stream, end, earlier: stream?.lastQueued }
    if (stream !== undefined) {
      stream.queued++
      stream.lastQueued = queued
    }
    MutableList.append(this.#control, queued)
    this.#onPending()
  }

  /** Queues a frame of the link: it travels in a message of its own, before all others. */
  pushLink(frame: Frame, provoked: boolean): void {
    if (provoked) this.provoked++
    MutableList.append(this.#linkFrames, { frame, size: smallFrame + 128, provoked })
    this.#onPending()
  }

  /** A stream has bytes, or credit, that it had not before. */
  ready(stream: MuxStream): void {
    this.#sendQueue.add(stream)
    if (stream.ready) this.#onPending()
  }

  /** The connection has credit that it had not before. */
  resume(): void {
    if (!this.#sendQueue.isEmpty) this.#onPending()
  }

  /**
   * Forgets what a stream that was reset still has in the queue. Heads are coded when they are written, so none is lost. The
   * queue itself is looked through when the greater part of it is dropped: a peer may reset a thousand streams at once.
   */
  drop(stream: MuxStream): void {
    for (let queued = stream.lastQueued; queued !== undefined; queued = queued.earlier) queued.frame = undefined
    this.#dropped += stream.queued
    stream.lastQueued = undefined
    stream.queued = 0
    if (this.#dropped < minCompacted || this.#dropped * 2 < this.#control.length) return
    MutableList.filter(this.#control, ({ frame }) => frame !== undefined)
    this.#dropped = 0
  }

  clear(): void {
    MutableList.clear(this.#control)
    this.#dropped = 0
    this.clearLink()
  }

  clearLink(): void {
    for (const { provoked } of MutableList.takeAll(this.#linkFrames)) if (provoked) this.provoked--
  }

  /** The next message, or `undefined` when nothing can be sent now. */
  pull(source: OutboundSource, linkOnly: boolean): Uint8Array<ArrayBuffer> | undefined {
    if (this.#linkFrames.length > 0) {
      this.#writeQueued(this.#linkFrames, source)
      return this.#take()
    }
    if (linkOnly) return undefined
    this.#writeQueued(this.#control, source)
    // A RESPONSE that found no room must not be overtaken by its DATA.
    if (this.#control.length > 0) return this.#take()
    if (this.isClosing) return this.#encoder.length > 0 ? this.#take() : undefined
    this.#writeRequests(source)
    const writable = this.#writeData(source)
    const message = this.#encoder.length > 0 ? this.#take() : undefined
    if (writable !== undefined) {
      for (const stream of writable) stream.handler.onWritable()
    }
    return message
  }

  #take(): Uint8Array<ArrayBuffer> {
    const message = this.#encoder.take()
    this.#counters.messagesSent++
    this.#counters.bytesSent += message.length
    return message
  }

  #writeQueued(queue: MutableList.MutableList<Queued>, source: OutboundSource): void {
    const encoder = this.#encoder
    while (queue.length > 0) {
      const next = queue.head!.array[queue.head!.offset]!
      if (next.frame === undefined) {
        MutableList.take(queue)
        this.#dropped--
        continue
      }
      if (encoder.isFull || (encoder.length > 0 && encoder.length + next.size > this.#maxMessage)) return
      MutableList.take(queue)
      if (next.provoked) this.provoked--
      this.#counters.framesSent++
      encoder.frame(next.frame)
      if (next.stream === undefined) continue
      if (--next.stream.queued === 0) next.stream.lastQueued = undefined
      if (next.end) source.sentEnd(next.stream)
    }
  }

  #writeRequests(source: OutboundSource): void {
    const encoder = this.#encoder
    while (!encoder.isFull) {
      const next = source.nextRequest(encoder.length === 0 ? Infinity : this.#maxMessage - encoder.length)
      if (next === undefined) return
      const { request, stream } = next
      this.#counters.framesSent++
      encoder.request(stream.id, request.end, request.method, request.target, request.fields)
      this.#sendQueue.add(stream)
    }
  }

  #writeData(source: OutboundSource): Array<MuxStream> | undefined {
    const credit = this.credit
    const encoder = this.#encoder
    let writable: Array<MuxStream> | undefined = undefined
    while (credit.available > 0 && !encoder.isFull) {
      const room = this.#maxMessage - encoder.length - maxFrameOverhead
      if (room < minDataSize && encoder.length > 0) break
      const stream = this.#sendQueue.take()
      if (stream === undefined) break
      const size = Math.min(stream.buffered, stream.credit.available, credit.available, this.#maxData, room)
      const end = stream.finished && size === stream.buffered
      encoder.dataHead(stream.id, end, size)
      stream.shift(size, (part) => encoder.raw(part))
      stream.credit.available -= size
      credit.available -= size
      this.bodyBytes += size
      this.#counters.framesSent++
      if (end) {
        source.sentEnd(stream)
        continue
      }
      this.#sendQueue.add(stream)
      if (stream.blocked && stream.buffered * 2 < this.#sendBuffer) {
        stream.blocked = false
        ;(writable ??= []).push(stream)
      }
    }
    return writable
  }
}

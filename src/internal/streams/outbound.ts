/**
 * What waits to leave, and the messages that it is packed into: frames of the link first, then those of the connection, then
 * requests, then DATA in turns (PROTOCOL.md, "Scheduling" and "Batching").
 */
import * as MutableList from "effect/MutableList"
import { Encoder, maxFrameOverhead } from "../frame/encoder.ts"
import type { Frame } from "../frame/Frame.ts"
import { maxFramesInMessage, maxReasonLength } from "../frame/grammar.ts"
import type { OpenStreams } from "./openStreams.ts"
import type { MultiplexerOptions } from "./options.ts"
import type { Counters } from "./settings.ts"
import { type MuxStream, nothing, type QueuedFrame, type StreamFailure, urgencies } from "./stream.ts"

/** A shorter queue is not worth compacting. */
const minCompacted = 256

/** DATA is cut at this, so that streams take turns. */
const maxDataSize = 16 * 1024
/**
 * Messages are filled up to this: a full DATA frame, and what else may be due. Of larger ones a receiver has to put
 * together nearly all from several reads of its socket. With four times the size bodies are 0.8 times as fast.
 */
const maxBatchSize = maxDataSize + 512
/** Less room than this in a message is not worth a DATA frame of its own. */
const minDataSize = 1024

/** Bytes of a frame without text or fields, at most. @internal */
export const smallFrame = 32
/** Bytes of a frame with a reason, at most. @internal */
export const reasonFrame = smallFrame + maxReasonLength

/** @internal */
export interface Queueing {
  /** Upper bound of the frame's bytes. */
  readonly size: number
  /** The peer has caused it, and could cause many: their number is limited. */
  readonly provoked?: boolean | undefined
  /** The stream that the frame belongs to: the frame is dropped if the stream is reset. */
  readonly stream?: MuxStream | undefined
  /** The stream ends on this side when the frame is written. */
  readonly end?: boolean | undefined
}

interface Queued extends Queueing, QueuedFrame {}

type Queue = MutableList.MutableList<Queued>

/**
 * Invariants: `provoked` is the number of frames in both queues that are marked so, and `stream.queued` the number of those that
 * belong to a stream. Frames of a stream that was reset stay in the queue as empty places, which are skipped. A request is in its
 * queue, with id 0, until its stream is opened or the request is forgotten.
 *
 * A frame is encoded when it leaves, never before: heads refer to heads that left earlier.
 *
 * @internal
 */
export class Outbound {
  /** Bytes of DATA that this end may send on the connection. */
  credit: number
  /** Frames provoked by the peer that wait to be written. */
  provoked = 0
  /** Requests that wait, but for those that were forgotten. */
  waiting = 0
  /** Set once the peer sent GOAWAY or the connection is over: no request can be opened. */
  closedBy: StreamFailure | undefined
  /** This end closes the connection: frames that were queued before still leave, requests and DATA don't. */
  isClosing = false
  /** Bytes of bodies that were written. */
  bodyBytes = 0
  /** Frames that were written, but for those of the link. */
  framesSent = 0
  /** Streams of which `pull` has sent END, or given a waiting writer room. The caller of `pull` takes them and acts on that. */
  changed: Array<MuxStream> = []
  readonly #options: MultiplexerOptions
  readonly #streams: OpenStreams
  readonly #counters: Counters
  readonly #encoder: Encoder
  readonly #maxMessage: number
  readonly #maxData: number
  /** Frames of the link: they travel in messages of their own. */
  readonly #link: Queue = MutableList.make()
  /** Frames of the connection: they leave in this order. */
  readonly #control: Queue = MutableList.make()
  /** Empty places in `#control`. */
  #dropped = 0
  /** Requests that wait for the peer to allow more streams. They get their ids when they leave, so that ids rise on the wire. */
  readonly #requests = MutableList.make<MuxStream>()
  /** Streams with DATA and credit, by urgency. The most urgent go first, those of one urgency in turns. */
  readonly #ready: Array<MutableList.MutableList<MuxStream> | undefined> = []
  #readyCount = 0
  /** `onPending` was called since the last `pull`. */
  #isAnnounced = false

  constructor(options: MultiplexerOptions, streams: OpenStreams, counters: Counters) {
    const { connectionWindow, headTableSize, maxFrameSize, maxMessageSize } = options.remote
    this.credit = connectionWindow
    this.#options = options
    this.#streams = streams
    this.#counters = counters
    this.#encoder = new Encoder(headTableSize)
    this.#maxMessage = Math.min(maxBatchSize, maxMessageSize)
    this.#maxData = Math.min(maxDataSize, maxFrameSize - maxFrameOverhead)
  }

  #announce(): void {
    if (this.#isAnnounced) return
    this.#isAnnounced = true
    this.#options.host.onPending()
  }

  // --- what is queued ------------------------------------------------------------------------------------------------

  /** Queues a frame of the connection. */
  push(frame: Frame, { end, provoked, size, stream }: Queueing): void {
    if (provoked) this.provoked++
    const queued: Queued = { frame, size, provoked, stream, end, earlier: stream?.lastQueued }
    if (stream !== undefined) {
      stream.queued++
      stream.lastQueued = queued
    }
    MutableList.append(this.#control, queued)
    this.#announce()
  }

  /** Queues the END of a body that has no bytes left. */
  pushEnd(stream: MuxStream): void {
    this.push({ _tag: "Data", streamId: stream.id, end: true, data: nothing }, { size: smallFrame, stream, end: true })
  }

  /** Queues a frame of the link: it travels in a message of its own, before all others. */
  pushLink(frame: Frame, provoked: boolean): void {
    if (provoked) this.provoked++
    MutableList.append(this.#link, { frame, size: smallFrame + 128, provoked })
    this.#announce()
  }

  /** Queues the request of a stream. */
  pushRequest(stream: MuxStream): void {
    this.waiting++
    MutableList.append(this.#requests, stream)
    if (this.#mayOpen) this.#announce()
  }

  /** A stream has bytes, or credit, that it had not before. */
  ready(stream: MuxStream): void {
    this.#addReady(stream)
    if (stream.ready) this.#announce()
  }

  /** The connection has credit that it had not before, or a stream of this end has closed, so that the next one may be opened. */
  resume(): void {
    if (this.#readyCount + this.waiting > 0) this.#announce()
  }

  /** Puts a stream at the end of its turn, if it has bytes and credit. */
  #addReady(stream: MuxStream): void {
    if (stream.ready || stream.id === 0 || stream.buffered === 0 || stream.credit === 0) return
    stream.ready = true
    this.#readyCount++
    MutableList.append(this.#ready[stream.urgency] ??= MutableList.make(), stream)
  }

  // --- what is forgotten ---------------------------------------------------------------------------------------------

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

  /** A request will not be sent. Forgotten ones leave the queue when they are the greater part of it. */
  forgetRequest(stream: MuxStream): void {
    if (stream.request === undefined) return
    stream.request = undefined
    this.waiting--
    if (this.#requests.length > minCompacted && this.#requests.length > this.waiting * 2) {
      MutableList.filter(this.#requests, ({ request }) => request !== undefined)
    }
  }

  /** Takes all requests out of their queue. They are to be failed. */
  takeRequests(): Array<MuxStream> {
    return MutableList.takeAll(this.#requests)
  }

  /** The requests in the queue, and those that were forgotten and have not left it yet. */
  get requests(): ReadonlyArray<MuxStream> {
    return MutableList.toArray(this.#requests)
  }

  clear(): void {
    MutableList.clear(this.#control)
    this.#dropped = 0
    this.clearLink()
  }

  clearLink(): void {
    for (const { provoked } of MutableList.takeAll(this.#link)) if (provoked) this.provoked--
  }

  // --- what leaves ---------------------------------------------------------------------------------------------------

  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly: boolean): Uint8Array<ArrayBuffer> | undefined {
    this.#isAnnounced = false
    if (this.#link.length > 0) this.#writeQueued(this.#link)
    else if (!linkOnly) {
      const before = this.#counters.framesSent
      this.#writeFrames()
      this.framesSent += this.#counters.framesSent - before
    }
    if (this.#encoder.length === 0) return undefined
    const message = this.#encoder.take()
    this.#counters.messagesSent++
    this.#counters.bytesSent += message.length
    return message
  }

  #writeFrames(): void {
    this.#writeQueued(this.#control)
    // DATA must not overtake a RESPONSE that found no room.
    if (this.#control.length > 0 || this.isClosing) return
    if (this.waiting > 0) this.#writeRequests()
    if (this.#readyCount > 0) this.#writeData()
  }

  /** Bytes that fit into the message under way. A frame that is too large for any other message has one of its own. */
  get #room(): number {
    const { frames, length } = this.#encoder
    return frames >= maxFramesInMessage ? 0 : length === 0 ? Infinity : this.#maxMessage - length
  }

  #writeQueued(queue: Queue): void {
    while (queue.length > 0) {
      const next = queue.head!.array[queue.head!.offset]!
      if (next.frame !== undefined && next.size > this.#room) return
      MutableList.take(queue)
      if (next.frame === undefined) {
        this.#dropped--
        continue
      }
      const { stream } = next
      if (next.provoked) this.provoked--
      if (stream !== undefined && --stream.queued === 0) stream.lastQueued = undefined
      this.#counters.framesSent++
      this.#encoder.frame(next.frame)
      if (next.end) this.#endSent(stream!)
    }
  }

  get #mayOpen(): boolean {
    return this.closedBy === undefined && !this.isClosing &&
      this.#streams.local < this.#options.remote.maxConcurrentStreams
  }

  #writeRequests(): void {
    const queue = this.#requests
    while (queue.length > 0 && this.#mayOpen) {
      const stream = queue.head!.array[queue.head!.offset]!
      const { request } = stream
      if (request !== undefined && request.size > this.#room) return
      MutableList.take(queue)
      // Cancelled while it waited.
      if (request === undefined) continue
      this.waiting--
      stream.request = undefined
      this.#streams.open(stream)
      this.#counters.streamsOpened++
      this.#counters.framesSent++
      this.#encoder.request(stream.id, request.end, request.method, request.target, request.fields)
      if (stream.state.local === "ending" && stream.buffered === 0) this.pushEnd(stream)
      this.#addReady(stream)
      stream.handler.onSent?.()
    }
  }

  #writeData(): void {
    const encoder = this.#encoder
    while (this.credit > 0 && encoder.frames < maxFramesInMessage) {
      const room = this.#maxMessage - encoder.length - maxFrameOverhead
      if (room < minDataSize && encoder.length > 0) return
      const stream = this.#takeReady()
      if (stream === undefined) return
      const size = Math.min(stream.buffered, stream.credit, this.credit, this.#maxData, room)
      const end = stream.state.local === "ending" && size === stream.buffered
      encoder.data(stream.id, end, size, stream.take(size))
      stream.credit -= size
      this.credit -= size
      this.bodyBytes += size
      this.#counters.framesSent++
      if (end) {
        this.#endSent(stream)
        continue
      }
      this.#addReady(stream)
      if (stream.blocked && stream.buffered * 2 < this.#options.limits.sendBuffer) {
        stream.blocked = false
        this.changed.push(stream)
      }
    }
  }

  #takeReady(): MuxStream | undefined {
    for (let urgency = 0; this.#readyCount > 0 && urgency < urgencies; urgency++) {
      const turn = this.#ready[urgency]
      if (turn === undefined) continue
      while (turn.length > 0) {
        const stream = MutableList.take(turn) as MuxStream
        this.#readyCount--
        stream.ready = false
        // A stream that was reset meanwhile has nothing to send.
        if (stream.buffered > 0 && stream.credit > 0) return stream
      }
    }
    return undefined
  }

  #endSent(stream: MuxStream): void {
    stream.state = stream.state.endSent
    if (stream.state.isClosed || stream.state.handler === "done") this.changed.push(stream)
  }
}

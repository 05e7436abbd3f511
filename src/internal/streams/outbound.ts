/**
 * What waits to leave, and the credit that it needs. `MessageWriter` packs it into messages.
 */
import * as MutableList from "effect/MutableList"
import type { Frame } from "../frame/Frame.ts"
import { maxReasonLength } from "../frame/grammar.ts"
import { SendCredit } from "./flowControl.ts"
import type { MultiplexerHost, MultiplexerOptions } from "./options.ts"
import { SendQueue } from "./sendQueue.ts"
import { type MuxStream, nothing, type QueuedFrame } from "./stream.ts"

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

/** @internal */
export interface Queued extends Queueing, QueuedFrame {}

type Queue = MutableList.MutableList<Queued>

/**
 * `provoked` is the number of frames in both queues that are marked so, `stream.queued` the number of those that go with a
 * stream. Frames of streams that were reset stay behind as empty places, which nobody sees.
 *
 * @internal
 */
export class Outbound {
  readonly credit: SendCredit
  /** Frames provoked by the peer that wait to be written. */
  provoked = 0
  /** Set once this end has said its last: what is queued by then leaves, and no request or DATA any more. */
  isClosing = false
  /** Frames of the connection: they leave in this order. */
  readonly control: Queue = MutableList.make()
  /** Frames of the link. */
  readonly link: Queue = MutableList.make()
  /** Streams with DATA. */
  readonly data = new SendQueue()
  readonly #host: MultiplexerHost
  /** Empty places in `control`. */
  #dropped = 0

  constructor(options: MultiplexerOptions) {
    this.credit = new SendCredit(options.remote.connectionWindow)
    this.#host = options.host
  }

  /** There is something to write. */
  onPending(): void {
    this.#host.onPending()
  }

  /** Queues a frame of the connection. */
  push(frame: Frame, { end, provoked, size, stream }: Queueing): void {
    if (provoked) this.provoked++
    const queued: Queued = { frame, size, provoked, stream, end, earlier: stream?.lastQueued }
    if (stream !== undefined) {
      stream.queued++
      stream.lastQueued = queued
    }
    MutableList.append(this.control, queued)
    this.onPending()
  }

  /** Queues the END of a body that has no bytes left. */
  pushEnd(stream: MuxStream): void {
    this.push({ _tag: "Data", streamId: stream.id, end: true, data: nothing }, { size: smallFrame, stream, end: true })
  }

  /** Queues a frame of the link: it travels in a message of its own, before all others. */
  pushLink(frame: Frame, provoked: boolean): void {
    if (provoked) this.provoked++
    MutableList.append(this.link, { frame, size: smallFrame + 128, provoked })
    this.onPending()
  }

  /** A stream has bytes, or credit, that it had not before. */
  ready(stream: MuxStream): void {
    this.data.add(stream)
    if (stream.ready) this.onPending()
  }

  /** The connection has credit that it had not before. */
  resume(): void {
    if (!this.data.isEmpty) this.onPending()
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
    if (this.#dropped < minCompacted || this.#dropped * 2 < this.control.length) return
    MutableList.filter(this.control, ({ frame }) => frame !== undefined)
    this.#dropped = 0
  }

  clear(): void {
    MutableList.clear(this.control)
    this.#dropped = 0
    this.clearLink()
  }

  clearLink(): void {
    for (const { provoked } of MutableList.takeAll(this.link)) if (provoked) this.provoked--
  }

  /** Takes the next frame out of a queue, if it has no more than `room` bytes. */
  take(queue: Queue, room: number): Queued | undefined {
    while (queue.length > 0) {
      const next = queue.head!.array[queue.head!.offset]!
      if (next.frame !== undefined && next.size > room) return undefined
      MutableList.take(queue)
      if (next.frame === undefined) {
        this.#dropped--
        continue
      }
      const { provoked, stream } = next
      if (provoked) this.provoked--
      if (stream !== undefined && --stream.queued === 0) stream.lastQueued = undefined
      return next
    }
    return undefined
  }
}

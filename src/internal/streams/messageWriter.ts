/**
 * Packs what waits into messages: control frames first, then requests, then DATA in turns (PROTOCOL.md, "Scheduling" and
 * "Batching").
 */
import { Encoder, maxFrameOverhead } from "../frame/encoder.ts"
import { maxFramesInMessage } from "../frame/grammar.ts"
import type { Lifecycle } from "./lifecycle.ts"
import type { Outbound } from "./outbound.ts"
import type { MuxStream } from "./stream.ts"

/** DATA is cut at this, so that streams take turns. */
const maxDataSize = 16 * 1024
/**
 * Messages are filled up to this: a full DATA frame, and what else may be due. Of larger ones a receiver has to put
 * together nearly all from several reads of its socket. With four times the size bodies are 0.8 times as fast.
 */
const maxBatchSize = maxDataSize + 512
/** Less room than this in a message is not worth a DATA frame of its own. */
const minDataSize = 1024

/**
 * A frame is coded when it leaves, never before: heads refer to those that left earlier.
 *
 * @internal
 */
export class MessageWriter {
  /** Bytes of bodies that were written. */
  bodyBytes = 0
  readonly #source: Lifecycle
  readonly #encoder: Encoder
  readonly #maxMessage: number
  readonly #maxData: number

  constructor(source: Lifecycle) {
    const { headTableSize, maxFrameSize, maxMessageSize } = source.options.remote
    this.#source = source
    this.#encoder = new Encoder(headTableSize)
    this.#maxMessage = Math.min(maxBatchSize, maxMessageSize)
    this.#maxData = Math.min(maxDataSize, maxFrameSize - maxFrameOverhead)
  }

  /** The next message, or `undefined` when nothing can be sent now. `linkOnly`: there is room for link frames alone. */
  pull(linkOnly: boolean): Uint8Array<ArrayBuffer> | undefined {
    const outbound = this.#source.outbound
    if (outbound.link.length > 0) {
      this.#writeQueued(outbound.link)
      return this.#take()
    }
    if (linkOnly) return undefined
    this.#writeQueued(outbound.control)
    // A RESPONSE that found no room must not be overtaken by its DATA.
    if (outbound.control.length > 0) return this.#take()
    if (outbound.isClosing) return this.#encoder.length > 0 ? this.#take() : undefined
    this.#writeRequests()
    const writable = this.#writeData()
    const message = this.#encoder.length > 0 ? this.#take() : undefined
    if (writable !== undefined) {
      for (const stream of writable) stream.handler.onWritable()
    }
    return message
  }

  #take(): Uint8Array<ArrayBuffer> {
    const message = this.#encoder.take()
    this.#source.counters.messagesSent++
    this.#source.counters.bytesSent += message.length
    return message
  }

  /** What fits into the message. A frame that is too large for any other has one of its own. */
  get #room(): number {
    const { frames, length } = this.#encoder
    return frames >= maxFramesInMessage ? 0 : length === 0 ? Infinity : this.#maxMessage - length
  }

  #writeQueued(queue: Outbound["control"]): void {
    const { counters, outbound } = this.#source
    for (let next = outbound.take(queue, this.#room); next; next = outbound.take(queue, this.#room)) {
      counters.framesSent++
      this.#encoder.frame(next.frame!)
      if (next.end) this.#source.sentEnd(next.stream!)
    }
  }

  #writeRequests(): void {
    const { counters, outbound, waiting } = this.#source
    for (let next = waiting.next(this.#room); next; next = waiting.next(this.#room)) {
      const { request, stream } = next
      counters.streamsOpened++
      counters.framesSent++
      this.#encoder.request(stream.id, request.end, request.method, request.target, request.fields)
      outbound.data.add(stream)
    }
  }

  #writeData(): Array<MuxStream> | undefined {
    const { credit, data } = this.#source.outbound
    const encoder = this.#encoder
    let writable: Array<MuxStream> | undefined = undefined
    while (credit.available > 0 && encoder.frames < maxFramesInMessage) {
      const room = this.#maxMessage - encoder.length - maxFrameOverhead
      if (room < minDataSize && encoder.length > 0) break
      const stream = data.take()
      if (stream === undefined) break
      const size = Math.min(stream.buffered, stream.credit.available, credit.available, this.#maxData, room)
      const end = stream.finished && size === stream.buffered
      encoder.dataHead(stream.id, end, size)
      stream.shift(size, (part) => encoder.raw(part))
      stream.credit.available -= size
      credit.available -= size
      this.bodyBytes += size
      this.#source.counters.framesSent++
      if (end) {
        this.#source.sentEnd(stream)
        continue
      }
      data.add(stream)
      if (stream.blocked && stream.buffered * 2 < this.#source.options.limits.sendBuffer) {
        stream.blocked = false
        ;(writable ??= []).push(stream)
      }
    }
    return writable
  }
}

/**
 * Which streams there are: those that are open, and what tells the others from them by their ids (PROTOCOL.md, "Streams").
 */
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import type { MultiplexerOptions } from "./options.ts"
import type { MuxStream } from "./stream.ts"
import { StreamTable } from "./streamTable.ts"

/** How many streams this end remembers to have reset, to tell late frames from errors. */
const maxRemembered = 1024

/**
 * Each end gives out ids of its own parity, in steps of two, and takes those of the peer only in rising order. So one number
 * for each end tells which ids are idle. A stream that is neither idle nor open is closed.
 *
 * @internal
 */
export class OpenStreams extends StreamTable {
  /** The last stream of the peer that may have been processed. It stands once `isSealed`. */
  lastRemote = 0
  /** This end has sent GOAWAY: later requests of the peer are refused, and their ids don't count. */
  isSealed = false
  /** Opened by the peer. The others were opened by this end. */
  remote = 0
  /** Handlers that run on though their streams were ended before their time. */
  #lingering = 0
  #next: number
  /** The streams that this end has reset, once there were any. */
  #reset: Set<number> | undefined = undefined

  constructor(options: MultiplexerOptions) {
    super(options.seed)
    this.#next = options.role === "client" ? 1 : 2
  }

  /** Opened by this end. */
  get local(): number {
    return this.size - this.remote
  }

  /** Requests of the peer that cost this end something: their streams are open, or their handlers run on. */
  get inProgress(): number {
    return this.remote + this.#lingering
  }

  /** Whether this end opens streams of this parity. */
  isLocal(streamId: number): boolean {
    return streamId % 2 === this.#next % 2
  }

  /** Whether no stream had this id yet. */
  isIdle(streamId: number): boolean {
    return this.isLocal(streamId) ? streamId >= this.#next : !this.isSealed && streamId > this.lastRemote
  }

  /** The id of the next stream of this end. */
  take(): number {
    const id = this.#next
    this.#next += 2
    return id
  }

  /** The id of a new stream of the peer must be of its parity and above all before. */
  accept(streamId: number): Violation | undefined {
    if (this.isLocal(streamId)) {
      return violation(ErrorCode.STREAM_ID_ERROR, `stream ${streamId} is not of the peer's parity`)
    }
    if (streamId <= this.lastRemote) {
      return violation(ErrorCode.STREAM_ID_ERROR, `stream ${streamId} is not above ${this.lastRemote}`)
    }
    if (!this.isSealed) this.lastRemote = streamId
    return undefined
  }

  /** This end resets a stream, so frames of the peer for it may be late. */
  remember(streamId: number): void {
    const reset = this.#reset ??= new Set()
    reset.add(streamId)
    if (reset.size <= maxRemembered) return
    for (const oldest of reset) {
      reset.delete(oldest)
      break
    }
  }

  /** A frame for a stream that this end has reset is late, not wrong. */
  mayBeLate(streamId: number): boolean {
    return this.#reset?.has(streamId) === true
  }

  override add(stream: MuxStream): void {
    super.add(stream)
    if (!this.isLocal(stream.id)) this.remote++
  }

  override delete(stream: MuxStream): boolean {
    const isFound = super.delete(stream)
    if (isFound && !this.isLocal(stream.id)) this.remote--
    return isFound
  }

  /** A stream has ended before its time. Its handler counts until it is done. */
  linger(stream: MuxStream): void {
    if (!stream.handled) return
    stream.lingers = true
    this.#lingering++
  }

  /** The handler of a stream is done. */
  handlerDone(stream: MuxStream): void {
    stream.unwanted = true
    stream.handled = false
    if (!stream.lingers) return
    stream.lingers = false
    this.#lingering--
  }
}

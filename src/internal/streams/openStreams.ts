/**
 * The open streams by their ids, and whether any other id is idle or closed (PROTOCOL.md, "Streams").
 */
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { MuxStream } from "./stream.ts"

const initialSlots = 8
/** More slots than these are not kept for an idle connection. */
const maxIdleSlots = 128

/** How many streams this end remembers to have reset, to tell late frames from errors. */
const maxRemembered = 1024

/**
 * The open streams are in a hash table. A `Map` would do, but for how engines collect garbage: a table of V8 that was outgrown
 * keeps the one that followed it, so that with streams coming and going every dead table keeps all later ones, and their streams,
 * until the next full collection. Small calls are 1.2 times as fast without that, and their p99 is a third.
 *
 * Each end gives out ids of its own parity, in steps of two, and takes those of the peer only in rising order. So one number
 * for each end tells which ids are idle. A stream that is neither idle nor open is closed.
 *
 * @internal
 */
export class OpenStreams {
  /** The last stream of the peer that may have been processed. It does not change once `isSealed`. */
  lastRemote = 0
  /** This end has sent GOAWAY: later requests of the peer are refused, and their ids don't count. */
  isSealed = false
  /** How many are open: all, those opened by this end, and those opened by the peer. */
  size = 0
  local = 0
  remote = 0
  /** Handlers that run on though the peer has ended their streams. */
  lingering = 0
  /** The id of the next stream of this end. */
  #next: number
  /** The streams that this end has reset, once there were any. */
  #reset: Set<number> | undefined
  readonly #factor: number
  /** Their number is a power of two; streams that share a slot are a list. */
  #slots = new Array<MuxStream | undefined>(initialSlots).fill(undefined)

  /** `seed`: an integer that the peer can't know, or it would choose ids that share a slot. */
  constructor(role: "client" | "server", seed: number) {
    this.#next = role === "client" ? 1 : 2
    this.#factor = seed | 1
  }

  /** Every bit of an id counts, in an order that only the seed tells. */
  #slotOf(id: number): number {
    let mixed = Math.imul(id, this.#factor) ^ (id / 0x100000000)
    mixed = Math.imul(mixed ^ (mixed >>> 15), this.#factor)
    return (mixed ^ (mixed >>> 15)) & (this.#slots.length - 1)
  }

  get(id: number): MuxStream | undefined {
    let stream = this.#slots[this.#slotOf(id)]
    while (stream !== undefined && stream.id !== id) stream = stream.next
    return stream
  }

  /** Adds a stream, whose id must be new. */
  add(stream: MuxStream): void {
    if (this.size === this.#slots.length) this.#resize(this.size * 2)
    this.size++
    if (stream.isLocal) this.local++
    else this.remote++
    this.#insert(stream)
  }

  /** Opens a stream of this end, which gets its id. */
  open(stream: MuxStream): void {
    stream.id = this.#next
    this.#next += 2
    this.add(stream)
  }

  /** `false`: it was not there. */
  delete(stream: MuxStream): boolean {
    const slot = this.#slotOf(stream.id)
    let previous: MuxStream | undefined = undefined
    let found = this.#slots[slot]
    while (found !== stream) {
      if (found === undefined) return false
      previous = found
      found = found.next
    }
    if (previous === undefined) this.#slots[slot] = stream.next
    else previous.next = stream.next
    stream.next = undefined
    this.size--
    if (stream.isLocal) this.local--
    else this.remote--
    if (this.size === 0 && this.#slots.length > maxIdleSlots) this.#resize(initialSlots)
    return true
  }

  /** Those that were opened first come first. */
  toArray(): Array<MuxStream> {
    const streams: Array<MuxStream> = []
    for (let stream of this.#slots) {
      for (; stream !== undefined; stream = stream.next) streams.push(stream)
    }
    return streams.sort((one, other) => one.id - other.id)
  }

  #insert(stream: MuxStream): void {
    const slot = this.#slotOf(stream.id)
    stream.next = this.#slots[slot]
    this.#slots[slot] = stream
  }

  #resize(slots: number): void {
    const streams = this.toArray()
    this.#slots = new Array<MuxStream | undefined>(slots).fill(undefined)
    for (const stream of streams) this.#insert(stream)
  }

  /** Whether this end opens streams of this parity. */
  isLocal(streamId: number): boolean {
    return streamId % 2 === this.#next % 2
  }

  /** Whether no stream had this id yet. */
  isIdle(streamId: number): boolean {
    return this.isLocal(streamId) ? streamId >= this.#next : !this.isSealed && streamId > this.lastRemote
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
}

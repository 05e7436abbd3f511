/**
 * One HTTP exchange: what the multiplexer keeps for it, and the interfaces between the multiplexer and the code that uses it.
 */
import { constUndefined } from "effect/Function"
import type { Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields, Frame } from "../frame/Frame.ts"
import { upgradeField } from "../frame/grammar.ts"
import type { StreamState } from "./state.ts"

/**
 * What is known of a request that will not be completed: `not-sent` and `not-processed` are safe to repeat whatever
 * the method; `unknown` may have been executed.
 *
 * @internal
 */
export type Outcome = "not-sent" | "not-processed" | "unknown"

/**
 * Why a stream ended before its time: it was reset, or its connection was lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamFailure {
  /** An `ErrorCode`. */
  readonly code: number
  /** For people; empty where there is none. */
  readonly reason: string
  /** Who ended it: the peer, this end, or the loss of the connection. */
  readonly by: "remote" | "local" | "connection"
  /** What is known of the request: whether the peer may have acted on it. */
  readonly outcome: Outcome
  /** What ended the connection, when that was it. */
  readonly cause?: unknown
}

/** The failure of a call that is made after this end has begun to close. @internal */
export const leaving: StreamFailure = {
  code: ErrorCode.REFUSED_STREAM,
  reason: "this end is going away",
  by: "local",
  outcome: "not-sent"
}

/**
 * Receives the events of one stream. It is called while a message is read or sent, so it must neither block nor throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamHandler {
  /** Requester only: the request is in the message that is being made, and has its id. */
  readonly onSent?: (() => void) | undefined
  /** Requester only: the head of the answer. `end`: it has no body. Returns what is wrong with it. */
  onResponse(status: number, fields: Fields, end: boolean): Violation | undefined
  /** Body bytes, a view of the message; they occupy the window until `consumed`. Returns what is wrong with them. */
  onData(data: Uint8Array, end: boolean): Violation | undefined
  /** The stream has ended before its time, in both directions. No other event follows. */
  onFailure(failure: StreamFailure): void
  /** The peer reads no more of the body that this end sends. The exchange itself goes on. */
  onStopSending(): void
  /** The send buffer has room again after a `write` that returned `false`. */
  onWritable(): void
  /** Requester only: as `onFailure`, with the error that the caller shall get. */
  fail?(error: unknown): void
}

/** The handler of a request of the peer until `onRequest` sets one. @internal */
export const ignoring: StreamHandler = {
  onResponse: constUndefined,
  onData: constUndefined,
  onFailure() {},
  onStopSending() {},
  onWritable() {}
}

/** A request that waits for its turn to be sent. @internal */
export interface RequestHead {
  readonly method: string
  readonly target: string
  readonly fields: Fields
  readonly end: boolean
  /** Upper bound of the frame's bytes. */
  readonly size: number
}

/**
 * A stream as the code that uses a multiplexer sees it. A multiplexer is given only objects that it has made itself, so they may
 * have any other members.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpStream {
  /** Receives the events of the stream. `onRequest` sets it for a request of the peer. */
  handler: StreamHandler
  /**
   * A handler of this end works on the request. If the stream closes before the handler is done, the request should count as in
   * progress until `stopReading` or `reset` is called.
   */
  handled: boolean
  /** The request asks for an upgrade, and both ends know upgrades. */
  readonly asksForUpgrade?: boolean
  /** Nothing more is sent or received. */
  readonly isClosed: boolean
  /** The application has written everything, whether or not it has left. */
  readonly isWritten: boolean
  /**
   * Bytes of a body that were written and wait to be sent. An API that closes uses the number to give up on a peer that takes
   * none of them; without it, the API waits for the whole drain timeout.
   */
  readonly buffered?: number
}

/** @internal */
export const nothing: Uint8Array = new Uint8Array(0)

/** Chunks of fewer bytes are copied together while they wait. */
const smallChunk = 512
/** The buffer that they are copied into is as large as everything that waits, within these bounds. */
const minTail = 1024
const maxTail = 16 * 1024

/** A frame of a stream that waits to be written. @internal */
export interface QueuedFrame {
  /** Absent: the stream was reset. */
  frame: Frame | undefined
  /** The frame of the same stream that was queued before. */
  readonly earlier?: QueuedFrame | undefined
}

/** What the peer may still send on a stream or a connection. `flowControl.ts` gives it more. @internal */
export interface ReceiveWindow {
  size: number
  /** Bytes that the peer may send now. */
  available: number
  /** When credit was given last. */
  lastGrant: number
}

/** How many urgencies there are; 0 is the most urgent (RFC 9218 section 4.1). @internal */
export const urgencies = 8
const defaultUrgency = 3
const urgencyMember = /(?:^|[,\s])u=([0-7])(?=$|[,;\s])/

/** @internal */
export class MuxStream implements HttpStream {
  /** 0 until the REQUEST is written: ids are given in the order in which requests leave. */
  id: number
  handler: StreamHandler
  state: StreamState
  /** Opened by this end. */
  readonly isLocal: boolean
  /** Of the request body and of the response, as the request says it. */
  readonly urgency: number
  readonly asksForUpgrade: boolean
  /** Bytes of DATA that this end may send. */
  credit: number
  readonly window: ReceiveWindow
  /** Present on the requester until it is written. */
  request: RequestHead | undefined
  /** Received and not consumed. */
  unread = 0
  /** Consumed, and kept by the application. */
  kept = 0
  /** Frames of this stream that wait among the control frames. */
  queued = 0
  /** The last of these. */
  lastQueued: QueuedFrame | undefined
  /** Written and not sent. */
  buffered = 0
  /** It is in the queue of streams that have DATA and credit. */
  ready = false
  /** A writer waits for room. */
  blocked = false
  /** The next stream in the same slot of the table of open streams. */
  next: MuxStream | undefined
  #chunks: Array<Uint8Array> = []
  /** The buffer behind the last chunk, while small chunks are copied into it. */
  #tail: Uint8Array | undefined
  #firstChunk = 0
  #offset = 0

  constructor(options: {
    readonly id: number
    readonly handler: StreamHandler
    readonly state: StreamState
    /** Of the request. */
    readonly fields: Fields
    /** The request may ask for an upgrade. */
    readonly mayUpgrade?: boolean
    /** Of a stream of this end. */
    readonly request: RequestHead | undefined
    /** Bytes of DATA that this end may send at first, and the peer. */
    readonly credit: number
    readonly window: number
  }) {
    this.id = options.id
    this.handler = options.handler
    this.state = options.state
    this.isLocal = options.request !== undefined
    let urgency: number | undefined = undefined
    let hasUpgrade = false
    for (const field of options.fields) {
      if (field[0] === "priority" && urgency === undefined) {
        const match = urgencyMember.exec(field[1])
        if (match !== null) urgency = Number(match[1])
      } else if (field[0] === upgradeField) {
        hasUpgrade = true
      }
    }
    this.urgency = urgency ?? defaultUrgency
    this.asksForUpgrade = hasUpgrade && options.mayUpgrade === true
    this.credit = options.credit
    this.window = { size: options.window, available: options.window, lastGrant: -Infinity }
    this.request = options.request
  }

  get isWritten(): boolean {
    return this.state.local === "ending" || this.state.local === "end"
  }

  get isClosed(): boolean {
    return this.state.isClosed
  }

  get handled(): boolean {
    return this.state.handler === "running" || this.state.handler === "lingering"
  }

  /** The end of the handler is told by `stopReading`. */
  set handled(handled: boolean) {
    if (handled) this.state = this.state.handlerBegun
  }

  /**
   * Adds a chunk to those that wait. A small one behind others is copied into a shared buffer: a handler that echoes a body may
   * get it in chunks of one byte, and each would cost hundreds of bytes while it waits.
   */
  push(chunk: Uint8Array): void {
    const chunks = this.#chunks
    this.buffered += chunk.length
    if (chunk.length >= smallChunk || this.#firstChunk === chunks.length) {
      this.#tail = undefined
      chunks.push(chunk)
      return
    }
    const last = chunks.length - 1
    const used = this.#tail === undefined ? 0 : chunks[last]!.length
    if (this.#tail === undefined || used + chunk.length > this.#tail.length) {
      this.#tail = new Uint8Array(Math.min(Math.max(this.buffered, minTail), maxTail))
      this.#tail.set(chunk)
      chunks.push(this.#tail.subarray(0, chunk.length))
      return
    }
    this.#tail.set(chunk, used)
    chunks[last] = this.#tail.subarray(0, used + chunk.length)
  }

  /** Takes `size` of the bytes that wait. */
  take(size: number): ReadonlyArray<Uint8Array> {
    const chunks = this.#chunks
    if (size === this.buffered && this.#firstChunk === 0 && this.#offset === 0) {
      this.dropBuffered()
      return chunks
    }
    const parts: Array<Uint8Array> = []
    this.buffered -= size
    while (size > 0) {
      const chunk = chunks[this.#firstChunk]!
      const isWhole = this.#offset === 0 && chunk.length <= size
      const part = isWhole ? chunk : chunk.subarray(this.#offset, this.#offset + size)
      parts.push(part)
      size -= part.length
      this.#offset += part.length
      if (this.#offset === chunk.length) {
        chunks[this.#firstChunk++] = nothing
        this.#offset = 0
      }
    }
    if (this.#firstChunk === chunks.length) this.dropBuffered()
    return parts
  }

  dropBuffered(): void {
    this.#chunks = []
    this.#tail = undefined
    this.#firstChunk = 0
    this.#offset = 0
    this.buffered = 0
  }
}

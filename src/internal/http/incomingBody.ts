/**
 * A body as it arrives: chunks wait here until they are pulled, and give their credit back when they are.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type { Multiplexed } from "../../Multiplexer.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { concat } from "../frame/bytes.ts"
import { ErrorCode, type Violation, violation } from "../frame/errorCode.ts"
import { Gate } from "../gate.ts"
import type { MuxStream } from "../streams/stream.ts"

type State = "open" | "ended" | "failed"

/** A chunk that waits may keep this many times its size in memory. */
const maxPinned = 4
/** Small chunks that wait are copied together up to this. */
const tailSize = 1024

/** A body grew beyond what its reader allows. @internal */
export class BodyTooLarge extends Error {
  constructor(limit: number) {
    super(`the body has more than ${limit} bytes`)
  }
}

/** @internal */
export class IncomingBody {
  state: State
  readonly #mux: Multiplexed
  readonly #stream: MuxStream
  readonly #declared: number | undefined
  #chunks: Array<Uint8Array> = []
  /** The last chunk, while it has room for more. */
  #tail: { readonly bytes: Uint8Array; used: number } | undefined = undefined
  #received = 0
  #error: SwaggerSocketError | undefined = undefined
  readonly #gate = new Gate()

  /** `declared`: the content-length, which is held against what arrives. */
  constructor(mux: Multiplexed, stream: MuxStream, declared: number | undefined, ended: boolean) {
    this.#mux = mux
    this.#stream = stream
    this.#declared = declared
    this.state = ended ? "ended" : "open"
  }

  /** Answers what is wrong when the body does not have the length that was declared. */
  push(data: Uint8Array, end: boolean): Violation | undefined {
    if (this.state !== "open") return undefined
    this.#received += data.length
    if (this.#declared !== undefined && (this.#received > this.#declared || (end && this.#received < this.#declared))) {
      return violation(
        ErrorCode.MALFORMED,
        `the body has ${end ? "" : "at least "}${this.#received} bytes, content-length says ${this.#declared}`
      )
    }
    if (data.length > 0) this.#keep(data, end)
    if (end) this.state = "ended"
    if (this.#hasNews()) this.#gate.notify()
    return undefined
  }

  /**
   * Chunks are views of their messages. One that may wait long must not keep a message in memory that is much larger,
   * nor should thousands of tiny ones cost more than what they hold.
   */
  #keep(data: Uint8Array, end: boolean): void {
    if (end || this.#gate.isAwaited || data.length * maxPinned >= data.buffer.byteLength) {
      this.#tail = undefined
      this.#chunks.push(data)
      return
    }
    const tail = this.#tail
    if (tail !== undefined && tail.used + data.length <= tail.bytes.length) {
      tail.bytes.set(data, tail.used)
      tail.used += data.length
      this.#chunks[this.#chunks.length - 1] = tail.bytes.subarray(0, tail.used)
      return
    }
    const bytes = new Uint8Array(Math.max(data.length, tailSize))
    bytes.set(data)
    this.#tail = { bytes, used: data.length }
    this.#chunks.push(bytes.subarray(0, data.length))
  }

  fail(error: SwaggerSocketError): void {
    if (this.state !== "open") return
    this.state = "failed"
    this.#error = error
    this.#gate.notify()
  }

  /** There is something for a reader: bytes, or the end. */
  readonly #hasNews = (): boolean => this.#chunks.length > 0 || this.state !== "open"

  #take(): Array<Uint8Array> {
    const chunks = this.#chunks
    this.#chunks = []
    this.#tail = undefined
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.length
    this.#mux.consumed(this.#stream, bytes)
    return chunks
  }

  /** What has arrived, waiting if nothing has. */
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, SwaggerSocketError> = Effect.suspend(() => {
    if (this.#chunks.length > 0) return Effect.succeed(this.#take() as unknown as NonEmptyReadonlyArray<Uint8Array>)
    if (this.state === "ended") return Cause.done()
    if (this.#error !== undefined) return Effect.fail(this.#error)
    return Effect.andThen(this.#gate.until(this.#hasNews), this.pull)
  })

  /** The whole body when it is here, without waiting. */
  takeAll(): Uint8Array | undefined {
    return this.state === "ended" ? whole(this.#take()) : undefined
  }

  /** The whole body, up to `limit` bytes. */
  collect(limit: number | undefined): Effect.Effect<Uint8Array, SwaggerSocketError | BodyTooLarge> {
    const parts: Array<Uint8Array> = []
    let size = 0
    const loop: Effect.Effect<Uint8Array, SwaggerSocketError | BodyTooLarge> = Effect.suspend(() => {
      // Taking them makes room, in which more may arrive.
      while (this.#chunks.length > 0) {
        for (const chunk of this.#take()) {
          parts.push(chunk)
          size += chunk.length
        }
        if (limit !== undefined && size > limit) return Effect.fail(new BodyTooLarge(limit))
      }
      if (this.state === "ended") return Effect.succeed(whole(parts))
      if (this.#error !== undefined) return Effect.fail(this.#error)
      return Effect.andThen(this.#gate.until(this.#hasNews), loop)
    })
    return loop
  }
}

/** Most bodies are one chunk, and need no copy. */
const whole = (parts: ReadonlyArray<Uint8Array>): Uint8Array => parts.length === 1 ? parts[0]! : concat(parts)

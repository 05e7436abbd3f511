/**
 * A body that arrives. Chunks wait here until they are read, which gives their credit back to the peer.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import { InvalidMessage, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { type Violation, violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { atEndOfTurn } from "../scheduling/endOfTurn.ts"
import { Gate } from "../scheduling/gate.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import type { HttpStream } from "../streams/stream.ts"
import { joined, Parts, pinsMuch } from "./parts.ts"

type State = "open" | "ended" | "failed"

/** A body is larger than its reader allows. @internal */
export class BodyTooLarge extends Error {
  constructor(limit: number) {
    super(`the body has more than ${limit} bytes`)
  }
}

const passedOn = new SwaggerSocketError({ reason: new InvalidMessage({ description: "the body was passed on" }) })

/** @internal */
export class IncomingBody {
  state: State
  readonly #mux: Multiplexed
  readonly #stream: HttpStream
  readonly #declared: number | undefined
  /** Chunks that wait. Made when the first one has to. */
  #parts: Parts | undefined
  /** The last chunk, if no other one waited when it came. Usually it is the whole body. */
  #last: Uint8Array | undefined
  #received = 0
  #error: SwaggerSocketError | undefined
  readonly #gate = new Gate()
  /** True if the reader will be resumed at the end of this turn. */
  #isDue = false
  /** Nothing of it was read. */
  isUntouched = true

  /** `declared` is the content-length. The body must have that length. */
  constructor(mux: Multiplexed, stream: HttpStream, declared: number | undefined, ended: boolean) {
    this.#mux = mux
    this.#stream = stream
    this.#declared = declared
    this.state = ended ? "ended" : "open"
  }

  /** Adds a chunk. The result is a violation if the body has not the declared length. */
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
    if (end) {
      this.state = "ended"
      if (this.#gate.isAwaited) this.#gate.notify()
    } else if (data.length > 0) {
      this.#notifyLater()
    }
    return undefined
  }

  #keep(data: Uint8Array, end: boolean): void {
    // A waiting reader takes it in this turn, and so does whoever has made the request. A handler may not ask for it for long.
    const isLast = end && (this.#gate.isAwaited || !this.#stream.handled || !pinsMuch(data))
    if (isLast && (this.#parts === undefined || this.#parts.size === 0)) {
      this.#last = data
      return
    }
    const parts = this.#parts ??= new Parts()
    // A waiting reader takes the chunk in this turn, but may keep it for long. `slice` copies nothing of a Node `Buffer`.
    if (this.#gate.isAwaited && !this.#isDue) parts.add(pinsMuch(data) && !end ? new Uint8Array(data) : data, true)
    else parts.add(data, isLast)
  }

  /** Resumes the reader at the end of the turn: one message may have a thousand chunks, which the reader then gets at once. */
  #notifyLater(): void {
    if (this.#isDue || !this.#gate.isAwaited) return
    this.#isDue = true
    atEndOfTurn(() => {
      this.#isDue = false
      this.#gate.notify()
    })
  }

  fail(error: SwaggerSocketError): void {
    if (this.state !== "open") return
    this.state = "failed"
    this.#error = error
    this.#gate.notify()
  }

  get #hasBytes(): boolean {
    return this.#last !== undefined || (this.#parts !== undefined && this.#parts.size > 0)
  }

  /** Waits for bytes or for the end of the body. */
  #untilNews(): Effect.Effect<void> {
    return this.#gate.until(() => this.#hasBytes || this.state !== "open")
  }

  #take(): Array<Uint8Array> {
    this.isUntouched = false
    const last = this.#last
    if (last !== undefined) {
      this.#last = undefined
      this.#mux.consumed(this.#stream, last.length)
      return [last]
    }
    const parts = this.#parts
    if (parts === undefined) return []
    const { size } = parts
    const list = parts.take()
    // Gives credit, so more chunks may arrive during this call.
    this.#mux.consumed(this.#stream, size)
    return list
  }

  /** The chunks that have arrived. Waits if there are none. */
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, SwaggerSocketError> = Effect.suspend(() => {
    if (this.#hasBytes) return Effect.succeed(this.#take() as unknown as NonEmptyReadonlyArray<Uint8Array>)
    if (this.state === "ended") return Cause.done()
    if (this.#error !== undefined) return Effect.fail(this.#error)
    return Effect.andThen(this.#untilNews(), this.pull)
  })

  /** What has arrived and was not read. What comes from now on has another receiver: reading it here fails. */
  divert(): { readonly parts: ReadonlyArray<Uint8Array>; readonly isEnded: boolean } {
    const isEnded = this.state === "ended"
    const parts = this.#take()
    if (!isEnded || parts.length > 0) {
      this.state = "failed"
      this.#error = passedOn
    }
    return { parts, isEnded }
  }

  /** The whole body if it has arrived. */
  takeAll(): Uint8Array | undefined {
    if (this.state !== "ended") return undefined
    return joined(this.#take())
  }

  /** The whole body, up to `limit` bytes. */
  collect(limit: number | undefined): Effect.Effect<Uint8Array, SwaggerSocketError | BodyTooLarge> {
    const parts = new Parts()
    const loop: Effect.Effect<Uint8Array, SwaggerSocketError | BodyTooLarge> = Effect.suspend(() => {
      const whole = parts.size === 0 ? this.takeAll() : undefined
      if (whole !== undefined) {
        return limit !== undefined && whole.length > limit
          ? Effect.fail(new BodyTooLarge(limit))
          : Effect.succeed(whole)
      }
      while (this.#hasBytes) {
        for (const chunk of this.#take()) parts.add(chunk, false)
        if (limit !== undefined && parts.size > limit) return Effect.fail(new BodyTooLarge(limit))
      }
      if (this.state === "ended") return Effect.succeed(parts.takeWhole())
      if (this.#error !== undefined) return Effect.fail(this.#error)
      return Effect.andThen(this.#untilNews(), loop)
    })
    return loop
  }
}

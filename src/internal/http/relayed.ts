/**
 * A request that is passed on from one connection to another, stream to stream (PROTOCOL.md, "Relays"). Bytes of a body go
 * from the messages of one connection to the send buffer of the other; the sender gets its credit back when that has room. So
 * a relayed body holds no more memory than the windows of its two streams.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Predicate from "effect/Predicate"
import type { Peer } from "../connection/peer.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields } from "../frame/Frame.ts"
import { switchingProtocols, upgradeField } from "../frame/grammar.ts"
import { CONNECTION_LOST } from "../frame/relayCodes.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { type HttpStream, nothing, type StreamFailure, type StreamHandler } from "../streams/stream.ts"
import { setCookiesOf, toHeaders } from "./fields.ts"
import { Parts, pinsMuch } from "./parts.ts"
import { Room } from "./room.ts"
import { ServerRequest } from "./serverRequest.ts"
import { type Answered, TakenOver } from "./takenOver.ts"

/** A stream, with the connection that it belongs to. */
interface End {
  readonly mux: Multiplexed
  readonly stream: HttpStream
}

/** One direction: what arrives on a stream is written to another one. */
class Pipe {
  readonly #from: End
  readonly #to: End
  /** Bytes that were written when there was no room. The sender gets their credit when there is. */
  #held = 0

  constructor(from: End, to: End) {
    this.#from = from
    this.#to = to
  }

  /** Answers whether there is room for more. */
  push(data: Uint8Array, end: boolean): boolean {
    const { mux, stream } = this.#to
    let hasRoom = true
    if (data.length > 0) {
      // A view of a few bytes would keep the whole message that it came in, and so would the `slice` of a Node `Buffer`.
      hasRoom = mux.write(stream, pinsMuch(data) ? new Uint8Array(data) : data)
      if (hasRoom) this.#from.mux.consumed(this.#from.stream, data.length)
      else this.#held += data.length
    }
    if (end) mux.finish(stream)
    return hasRoom
  }

  /** There is room again. */
  free(): void {
    const held = this.#held
    this.#held = 0
    this.#from.mux.consumed(this.#from.stream, held)
  }
}

/** The exchange of the caller. @internal */
export interface Calling extends Answered {
  /**
   * The body as far as it has arrived, whose credit was given back. From now on it goes to `handler`. When the exchange ends,
   * `relayed` is cancelled, whether or not there was an answer.
   */
  readonly divert: (
    handler: StreamHandler,
    relayed: Relayed
  ) => { readonly parts: ReadonlyArray<Uint8Array>; readonly isEnded: boolean }
  readonly body: { readonly isUntouched: boolean }
  readonly onFailure: (failure: StreamFailure) => void
  readonly onStopSending: () => void
}

/** The exchange of a request that came on a connection. @internal */
export const callingOf = (request: HttpServerRequest.HttpServerRequest): Calling | undefined => {
  const source: object = ServerRequest.sourceOf(request)
  return Predicate.hasProperty(source, "divert") ? source as unknown as Calling : undefined
}

/** The head of a request, as it is passed on. It asks for an upgrade if it has the field. @internal */
export interface Head {
  readonly method: string
  readonly target: string
  readonly fields: Fields
}

/** Who passes the answer on. @internal */
export interface Answerer {
  /** The head of the answer has arrived. Its body follows when `send` is called. */
  readonly answered: (relayed: Relayed, status: number, fields: Fields) => void
  /** The request was not passed on, or there is no answer. */
  readonly unanswered: (failure: StreamFailure) => void
}

/** @internal */
export class Relayed implements StreamHandler {
  readonly #near: Calling
  readonly #farMux: Multiplexed
  #far: HttpStream | undefined
  /** Absent where the request could not be passed on. */
  #up: Pipe | undefined
  #down: Pipe | undefined
  /** Present until the far end has answered, or can't. */
  #answerer: Answerer | undefined
  /** Present until the whole answer was written. */
  #done: ((failure: StreamFailure | undefined) => void) | undefined = undefined
  /** What arrives of the answer before its head was sent on. */
  readonly #early = new Parts()
  /** The head of the answer was sent on. */
  #isFlowing = false
  /** The answer has arrived to its end. */
  #isEnded = false
  /** The answer is 101: each direction goes on until it ends by itself. */
  #isUpgraded = false
  /** The caller has ended its direction. */
  #isUpEnded = false
  /** Both directions of an upgrade have ended. Their last bytes may still wait to be sent. */
  #isDone = false
  #failure: StreamFailure | undefined = undefined
  readonly #room = new Room()

  constructor(near: Calling, farMux: Multiplexed, answerer: Answerer) {
    this.#near = near
    this.#farMux = farMux
    this.#answerer = answerer
  }

  begin({ fields, method, target }: Head): void {
    const upload: StreamHandler = {
      onResponse() {
        return undefined
      },
      onData: (data, end) => {
        this.#up?.push(data, end)
        if (end && this.#isUpgraded) {
          this.#isUpEnded = true
          if (this.#isEnded) this.#finishUpgrade()
        }
        return undefined
      },
      onFailure: (failure) => {
        if (failure.code !== ErrorCode.NO_ERROR || !this.#isUpEnded) return this.#near.onFailure(failure)
        // The caller has sent everything, and wants no more.
        this.#farMux.stopReading(this.#far!)
        this.#finishUpgrade()
      },
      onStopSending: () => this.#near.onStopSending(),
      onWritable: () => {
        this.#room.free()
        this.#down?.free()
      }
    }
    const { isEnded, parts } = this.#near.divert(upload, this)
    const asksForUpgrade = fields.some(([name]) => name === upgradeField)
    const far = this.#farMux.open(method, target, fields, isEnded && parts.length === 0 && !asksForUpgrade, this)
    if ("outcome" in far) return this.onFailure(far)
    this.#far = far
    const farEnd = { mux: this.#farMux, stream: far }
    this.#up = new Pipe(this.#near, farEnd)
    this.#down = new Pipe(farEnd, this.#near)
    for (const part of parts) this.#farMux.write(far, part)
    if (isEnded && !asksForUpgrade) this.#farMux.finish(far)
  }

  // --- what the far end says -------------------------------------------------------------------------------------------

  onResponse(status: number, fields: Fields, end: boolean): undefined {
    this.#isEnded = end
    this.#isUpgraded = status === switchingProtocols
    // A request for an upgrade has no body.
    const far = this.#far!
    if (!this.#isUpgraded && far.asksForUpgrade === true) this.#farMux.finish(far)
    const answerer = this.#answerer
    this.#answerer = undefined
    answerer?.answered(this, status, fields)
  }

  onData(data: Uint8Array, end: boolean): undefined {
    if (end) this.#isEnded = true
    if (this.#isFlowing) this.#write(data, end)
    else if (data.length > 0) this.#early.add(data, end)
  }

  onFailure(failure: StreamFailure): void {
    const answerer = this.#answerer
    this.#answerer = undefined
    if (answerer !== undefined) return answerer.unanswered(failure)
    this.#failure = failure
    this.#finish(failure)
  }

  onStopSending(): void {
    if (this.#isUpgraded) this.#finishUpgrade()
    else this.#near.mux.stopReading(this.#near.stream)
  }

  onWritable(): void {
    this.#up?.free()
  }

  // --- the answer ------------------------------------------------------------------------------------------------------

  /** Sends the head with these fields, and the body as it arrives. `isBodiless`: the head is all. `done` is called once. */
  send(exchange: Answered, status: number, fields: Fields, isBodiless: boolean, done: () => void): void {
    const { mux, stream } = exchange
    this.#done = (failure) => {
      if (failure !== undefined) reset(exchange, failure)
      done()
    }
    if (this.#failure !== undefined) return this.#finish(this.#failure)
    // A middleware that has changed the status has not upgraded anything.
    const isRefused = this.#isUpgraded !== (status === switchingProtocols)
    const isWhole = isBodiless || isRefused || (this.#isEnded && this.#early.size === 0 && !this.#isUpgraded)
    const refused = mux.respond(stream, status, fields, isWhole)
    if (isWhole || refused !== undefined) return this.#finish(undefined)
    exchange.room = this.#room
    this.#isFlowing = true
    const early = this.#early.take()
    const last = early.length - 1
    early.forEach((part, index) => this.#write(part, this.#isEnded && index === last))
    if (early.length === 0 && this.#isEnded) this.#write(nothing, true)
  }

  #write(data: Uint8Array, end: boolean): void {
    this.#room.written += data.length
    if (this.#down?.push(data, end) === false) this.#room.isFull = true
    if (!end) return
    if (!this.#isUpgraded) this.#finish(undefined)
    // The far end may have said that it wants no more before the head was sent on.
    else if (this.#isUpEnded || this.#isDone) this.#finishUpgrade()
  }

  #finishUpgrade(): void {
    this.#isDone = true
    this.#finish(undefined)
  }

  #finish(failure: StreamFailure | undefined): void {
    // The caller sends no more: its stream ends with the answer.
    this.cancel()
    const done = this.#done
    this.#done = undefined
    done?.(failure)
  }

  /** Nobody waits for the answer, or sends more of the request. */
  cancel(): void {
    if (this.#far !== undefined && !this.#isDone) this.#farMux.reset(this.#far, ErrorCode.CANCELLED, "")
  }
}

type Resume = (effect: Effect.Effect<HttpServerResponse.HttpServerResponse>) => void

/** The answer of the far end, as the response of a handler. */
class RelayedResponse extends TakenOver {
  readonly cookies: ReadonlyArray<string>
  readonly #relayed: Relayed

  constructor(relayed: Relayed, cookies: ReadonlyArray<string>) {
    super()
    this.#relayed = relayed
    this.cookies = cookies
  }

  respond(exchange: Answered, status: number, fields: Fields, isBodiless: boolean): Effect.Effect<void> {
    return Effect.interruptible(Effect.callback<void>((resume) => {
      this.#relayed.send(exchange, status, fields, isBodiless, () => resume(Effect.void))
      return Effect.sync(() => {
        this.cancel()
        exchange.mux.reset(exchange.stream, ErrorCode.INTERNAL_ERROR, "the relay was interrupted")
      })
    }))
  }

  cancel(): void {
    this.#relayed.cancel()
  }
}

const responding = (resume: Resume): Answerer => ({
  answered(relayed, status, fields) {
    const cookies = setCookiesOf(fields)
    const headers = toHeaders(cookies.length === 0 ? fields : fields.filter(([name]) => name !== "set-cookie"))
    resume(Effect.succeed(HttpServerResponse.raw(new RelayedResponse(relayed, cookies), { status, headers })))
  },
  unanswered: (failure) => resume(Effect.succeed(refused(failure)))
})

/** The answer to a request that could not be passed on, or whose outcome is unknown: its stream is reset. */
class Failed extends TakenOver {
  readonly cookies = []
  readonly #failure: StreamFailure

  constructor(failure: StreamFailure) {
    super()
    this.#failure = failure
  }

  respond(exchange: Answered): Effect.Effect<void> {
    return Effect.sync(() => reset(exchange, this.#failure))
  }

  cancel(): void {}
}

/** The status is what logs and metrics of this end show: the stream of the caller is reset. @internal */
export const refused = (failure: StreamFailure): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.raw(new Failed(failure), { status: failure.outcome === "unknown" ? 502 : 503 })

/** Passes a failure on: the caller learns the same of its request. @internal */
export const reset = ({ mux, stream }: Answered, { by, code, outcome, reason }: StreamFailure): void => {
  if (outcome !== "unknown") return mux.reset(stream, ErrorCode.REFUSED_STREAM, reason)
  if (by === "remote") return mux.reset(stream, code, reason)
  if (by === "connection") mux.reset(stream, CONNECTION_LOST, `the far end was lost: ${reason}`)
  else mux.reset(stream, ErrorCode.INTERNAL_ERROR, reason)
}

/**
 * Passes a request on, and gives the response once its head has arrived. The body follows when that is sent.
 *
 * @internal
 */
export const relay = (
  near: Calling,
  far: Peer,
  head: Head
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.callback((resume) => {
    const relayed = new Relayed(near, far.mux, responding(resume))
    relayed.begin(head)
    return Effect.sync(() => relayed.cancel())
  })

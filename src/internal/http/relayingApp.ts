/**
 * Requests that are passed on to another connection before a handler sees them. None of Effect's HTTP objects is made for them, and
 * no fiber.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { type App, type CallCounter, passed, type Peer } from "../connection/peer.ts"
import { violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import type { Fields, Request } from "../frame/Frame.ts"
import type { Multiplexed } from "../streams/multiplexed.ts"
import { type HttpStream, leaving, type StreamFailure, type StreamHandler } from "../streams/stream.ts"
import { declaredLength, isRefused } from "./arrival.ts"
import { InProgress, type Served } from "./inProgress.ts"
import { type Answerer, type Calling, type Head, Relayed, reset } from "./relayed.ts"
import type { Room } from "./room.ts"

const untouched = { isUntouched: true }

/** The exchange of the caller. */
class PassedOn implements Calling, Answerer, Served {
  readonly mux: Multiplexed
  readonly stream: HttpStream
  readonly body = untouched
  room: Room | undefined
  readonly #calls: CallCounter | undefined
  readonly #inProgress: InProgress
  readonly #isEnded: boolean
  #relayed: Relayed | undefined
  #isDone = false

  constructor(peer: Peer, stream: HttpStream, request: Request, inProgress: InProgress) {
    this.mux = peer.mux
    this.stream = stream
    this.#calls = peer.calls
    this.#inProgress = inProgress
    // A request for an upgrade has no body.
    this.#isEnded = request.end || stream.asksForUpgrade === true
  }

  begin(far: Peer, head: Head): void {
    this.stream.handled = true
    this.#inProgress.begin(this)
    const relayed = this.#relayed = new Relayed(this, far.mux, this)
    relayed.begin(head)
  }

  divert(handler: StreamHandler): ReturnType<Calling["divert"]> {
    this.stream.handler = handler
    return { parts: [], isEnded: this.#isEnded }
  }

  get sentToReader(): number | undefined {
    return this.room?.sentToReader(this.stream)
  }

  onFailure(): void {
    this.#end()
  }

  onStopSending(): void {
    this.#end()
  }

  /** No fiber passes it on that would be interrupted. */
  abort(): void {
    this.mux.reset(this.stream, ErrorCode.INTERNAL_ERROR, "the relay has closed")
    this.#end()
  }

  answered(relayed: Relayed, status: number, fields: Fields): void {
    relayed.send(this, status, fields, false, this.#end)
  }

  unanswered(failure: StreamFailure): void {
    reset(this, failure)
    this.#end()
  }

  readonly #end = (): void => {
    if (this.#isDone) return
    this.#isDone = true
    this.#inProgress.end(this)
    this.#calls?.end()
    if (this.stream.isWritten) this.mux.stopReading(this.stream)
    else this.mux.reset(this.stream, ErrorCode.INTERNAL_ERROR, "the relay has ended")
    this.#relayed?.cancel()
  }
}

/** Where a request goes to. @internal */
export interface Destination {
  readonly far: Peer
  readonly head: Head
}

/**
 * An app that passes on the requests for which `route` names a destination, and leaves all others to the app below.
 *
 * @internal
 */
export const makeRelayingApp = (
  route: (peer: Peer, stream: HttpStream, request: Request) => Destination | undefined
): Effect.Effect<{ readonly app: App; readonly idle: InProgress["idle"] }, never, Scope.Scope> =>
  Effect.contextWith((services: Context.Context<Scope.Scope>) => {
    const clock = Context.get(services, Clock.Clock)
    const scope = Context.get(services, Scope.Scope)
    const inProgress = new InProgress()
    const routed = (peer: Peer, stream: HttpStream, request: Request): Destination | undefined | typeof failed => {
      try {
        return route(peer, stream, request)
      } catch (defect) {
        const log = Effect.logError("the route of a relay failed", Cause.die(defect))
        Fiber.runIn(Effect.runForkWith(services)(log), scope)
        return failed
      }
    }
    const app: App = (peer, stream, request) => {
      const destination = routed(peer, stream, request)
      if (destination === undefined) return passed
      if (destination === failed) return violation(ErrorCode.INTERNAL_ERROR, "the handler failed")
      const declared = declaredLength(stream, request)
      if (typeof declared === "object") return declared
      if (isRefused(peer, stream, clock)) return undefined
      const passedOn = new PassedOn(peer, stream, request, inProgress)
      const { far, head } = destination
      if (far.mayCall(services)) passedOn.begin(far, head)
      else passedOn.unanswered(leaving)
      return undefined
    }
    // Runs behind the wait for what is in progress, which is a part of the scope later.
    const aborted = Scope.addFinalizer(scope, Effect.sync(() => inProgress.abort()))
    return Effect.as(aborted, { app, idle: (period) => inProgress.idle(period) })
  })

const failed = Symbol("failed")

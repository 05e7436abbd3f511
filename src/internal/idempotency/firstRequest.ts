/**
 * Executes the first request with a key. Its fiber goes on when the connection of the caller ends.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constTrue } from "effect/Function"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import { TracerDisabledWhen } from "effect/http/HttpMiddleware"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Entries } from "./entries.ts"
import { withBody } from "./heldRequest.ts"
import { type Entry, type Outcome, toAnswer } from "./keptAnswers.ts"
import type { KeyedRequest } from "./keyedRequest.ts"
import { type OutcomeStore, succeeds, warns } from "./outcomeStore.ts"
import { repeat, unavailable } from "./problems.ts"
import { readable } from "./readableAnswer.ts"
import { record } from "./recordedBody.ts"
import type { WatchedBody } from "./watchedBody.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The first request with its key. @internal */
export interface First<E> extends KeyedRequest {
  readonly entry: Entry
  /** Absent if the body is in memory. */
  readonly watched: WatchedBody | undefined
  readonly answered: Deferred.Deferred<Response, E>
  /** Completed when the caller stops reading. */
  readonly gone: Deferred.Deferred<void>
}

/** @internal */
export interface ExecutionOptions {
  readonly entries: Entries
  readonly maxAnswerSize: number
  /** Handlers run in this scope. */
  readonly scope: Scope.Scope
  readonly settles: (response: Response) => boolean
  readonly store: OutcomeStore | undefined
}

/** The time that entries expire by. It is monotonic: setting the machine's clock does not change it. @internal */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** @internal */
export class Execution<E> {
  readonly #options: ExecutionOptions
  readonly #first: First<E>
  readonly #clock: Clock.Clock
  /** The outcome until the handler has ended in an orderly way. */
  readonly #interrupted: Outcome
  /** The store did not know the key, so the handler runs, and may have had effects from here on. */
  #hasBegun = false
  /** How the handler failed. */
  #failure: Cause.Cause<E> | undefined

  constructor(options: ExecutionOptions, first: First<E>, clock: Clock.Clock) {
    this.#options = options
    this.#first = first
    this.#clock = clock
    this.#interrupted = { print: first.print, done: false }
  }

  start<R>(app: Effect.Effect<Response, E, R>) {
    const { scope } = this.#options
    return Effect.map(
      Effect.forkIn(this.#run(this.#handled(app)), scope, { startImmediately: true }),
      (fiber) => this.#watch(fiber)
    )
  }

  /** Completes what other requests wait for, however the fiber ends. */
  #watch(fiber: Fiber.Fiber<void, unknown>): void {
    const { entries } = this.#options
    const { answered, entry, id } = this.#first
    entry.interrupt = () => fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      // An entry is kept for hours. Functions made in one scope keep what any of them uses: here the request with its body.
      entry.interrupt = undefined
      // After an orderly end both calls do nothing.
      if (this.#hasBegun) entries.end(id, this.#interrupted, millisOf(this.#clock))
      else entries.cancel(id, unavailable)
      if (Exit.isFailure(exit)) Deferred.doneUnsafe(answered, exit as Exit.Exit<never, E>)
    })
  }

  /** Asks the store before it runs the handler: an earlier process may have executed the request. */
  #run<R>(handled: Effect.Effect<void, unknown, R>) {
    const { entries, store } = this.#options
    const { answered, id, print } = this.#first
    return Effect.gen({ self: this }, function*() {
      if (store !== undefined) {
        const known = yield* warns(store.get(id))
        if (known !== undefined) {
          Deferred.doneUnsafe(answered, Effect.succeed(repeat(known)))
          return entries.end(id, known)
        }
        yield* warns(store.set(id, this.#interrupted))
      }
      this.#hasBegun = true
      entries.begin(id, print)
      yield* handled
    })
  }

  /** Runs the handler as a server does, but in a scope of its own: the scope of the caller's request closes earlier. */
  #handled<R>(app: Effect.Effect<Response, E, R>) {
    const { bytes, request, watched } = this.#first
    const body = bytes === undefined ? watched?.stream : Stream.make(bytes)
    return HttpEffect.toHandled(
      Effect.onError(app, (cause) =>
        Effect.sync(() => {
          this.#failure = cause
        })).pipe(
          Effect.provideService(HttpServerRequest, body === undefined ? request : withBody(request, body))
        ),
      (_, response) => this.#conclude(response)
    ).pipe(
      // Effect marks a request that was answered. The copy is marked here, because the caller's own request is answered
      // elsewhere.
      Effect.provideService(HttpServerRequest, request.modify({})),
      Effect.provideService(TracerDisabledWhen, constTrue)
    )
  }

  /** Gives the response to the caller, and keeps the outcome. */
  #conclude(given: Response): Effect.Effect<void> {
    const response = readable(given)
    const { entries, settles, store } = this.#options
    const { entry, id, print } = this.#first
    return Effect.gen({ self: this }, function*() {
      const answerBody = yield* this.#answer(response)
      if (this.#failure !== undefined && Cause.hasInterrupts(this.#failure)) return
      const isSettled = settles(response)
      let body = print.body
      if (isSettled && body === undefined) {
        const read = yield* Effect.exit(Effect.interruptible(Deferred.await(entry.body)))
        if (Exit.isSuccess(read)) body = read.value
      }
      // An error response may be about a body that broke off. It is kept only if the body was read to its end.
      const isKept = answerBody !== undefined && (body?.whole === true || response.status < 400)
      const outcome: Outcome = {
        print: body === undefined ? print : { ...print, body },
        done: true,
        ...(isKept && { answer: toAnswer(response, answerBody) })
      }
      const isStored = store !== undefined && (yield* succeeds(isSettled ? store.set(id, outcome) : store.remove(id)))
      entries.end(id, outcome, isSettled && !isStored ? millisOf(this.#clock) : undefined)
    })
  }

  /** Gives the response to the caller. The result is the response's body, if there is room to keep it. */
  #answer(response: Response): Effect.Effect<Uint8Array | undefined> {
    const { gone, watched } = this.#first
    const { body } = response
    return Effect.gen({ self: this }, function*() {
      if (watched !== undefined) yield* watched.open
      const reserve = this.#reserve()
      if (body._tag === "Stream") {
        const recording = yield* record(body.stream, reserve, Deferred.await(gone))
        const read = HttpBody.stream(recording.stream, body.contentType, body.contentLength)
        this.#reply(HttpServerResponse.setBody(response, read))
        return yield* Effect.interruptible(recording.run)
      }
      this.#reply(response)
      if (body._tag === "Empty") return new Uint8Array(0)
      return body._tag === "Uint8Array" && reserve(body.body.length) ? body.body : undefined
    })
  }

  /** Reserves memory for a response while it is recorded. */
  #reserve(): (bytes: number) => boolean {
    const { entries, maxAnswerSize } = this.#options
    const { entry } = this.#first
    let size = 0
    return (bytes) => {
      size += bytes
      return size <= maxAnswerSize && entries.record(entry, bytes)
    }
  }

  #reply(response: Response): void {
    const failure = this.#failure
    Deferred.doneUnsafe(
      this.#first.answered,
      failure === undefined ? Exit.succeed(response) : Exit.failCause(withResponse(failure, response))
    )
  }
}

/** Middleware around the handler sees the original failure, together with the response that it already has. */
const withResponse = <E>(cause: Cause.Cause<E>, response: Response): Cause.Cause<E> =>
  Cause.fromReasons([
    ...cause.reasons.filter((reason) =>
      reason._tag !== "Die" || !HttpServerResponse.isHttpServerResponse(reason.defect)
    ),
    Cause.makeDieReason(response)
  ])

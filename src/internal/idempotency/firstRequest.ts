/**
 * The execution of the first request with a key, in a fiber that does not end with the connection of its caller.
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
import { repeat, unavailable } from "./answers.ts"
import { withBody } from "./heldRequest.ts"
import { type Entries, type Entry, type Outcome, toAnswer } from "./keptAnswers.ts"
import type { KeyedRequest } from "./keyedRequest.ts"
import { type OutcomeStore, succeeds, warns } from "./outcomeStore.ts"
import { record } from "./recordedBody.ts"
import type { WatchedBody } from "./watchedBody.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The first request with its key. @internal */
export interface First<E> extends KeyedRequest {
  readonly entry: Entry
  /** Its body, if that is not in memory. */
  readonly watched: WatchedBody | undefined
  readonly answered: Deferred.Deferred<Response, E>
  /** Its caller reads no more. */
  readonly gone: Deferred.Deferred<void>
}

/** @internal */
export interface ExecutionOptions {
  readonly entries: Entries
  readonly maxAnswerSize: number
  /** Where handlers run. */
  readonly scope: Scope.Scope
  readonly settles: (response: Response) => boolean
  readonly store: OutcomeStore | undefined
}

/** What entries count time by: it makes no difference when the clock of the machine is set. @internal */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** @internal */
export class Execution<E> {
  readonly #options: ExecutionOptions
  readonly #first: First<E>
  readonly #clock: Clock.Clock
  /** The outcome, as long as the handler has not ended in an orderly way. */
  readonly #interrupted: Outcome
  /** The store knew nothing of the key: from now on the handler may have done something. */
  #hasBegun = false
  /** How the handler failed. */
  #failure: Cause.Cause<E> | undefined = undefined

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

  /** Whatever ends the fiber, those who wait for its answer get one. */
  #watch(fiber: Fiber.Fiber<void, unknown>): void {
    const { entries } = this.#options
    const { answered, entry, id } = this.#first
    entry.interrupt = () => fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      // Neither does anything after an orderly end.
      if (this.#hasBegun) entries.end(id, this.#interrupted, millisOf(this.#clock))
      else entries.cancel(id, unavailable)
      if (Exit.isFailure(exit)) Deferred.doneUnsafe(answered, exit as Exit.Exit<never, E>)
    })
  }

  /** Asks the store first: the request may have been executed by an earlier process. */
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

  /** A root as the server's is, with a scope and hooks that outlive those of the caller's request. */
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
      // Roots mark the request that they have answered. This one is not answered by it.
      Effect.provideService(HttpServerRequest, request.modify({})),
      Effect.provideService(TracerDisabledWhen, constTrue)
    )
  }

  /** Answers, and remembers what became of the request. */
  #conclude(response: Response): Effect.Effect<void> {
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
      // An error may have been about a body that was torn; one that was read to its end certainly was not.
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

  /** Gives the caller its response. Answers the body, if it can be kept. */
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

  /** Takes room for an answer that is being recorded. */
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

/** The middleware around the handler sees how it failed; the response to that is already decided. */
const withResponse = <E>(cause: Cause.Cause<E>, response: Response): Cause.Cause<E> =>
  Cause.fromReasons([
    ...cause.reasons.filter((reason) =>
      reason._tag !== "Die" || !HttpServerResponse.isHttpServerResponse(reason.defect)
    ),
    Cause.makeDieReason(response)
  ])

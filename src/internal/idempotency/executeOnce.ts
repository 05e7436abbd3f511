/**
 * A middleware that executes requests with an idempotency key once, and repeats what it has answered.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import { TracerDisabledWhen } from "effect/http/HttpMiddleware"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { PersistenceError } from "effect/persistence/Persistence"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { printOf } from "./bodyDigest.ts"
import { lengthOf, withBody } from "./heldRequest.ts"
import { type Entries, type Entry, fromAnswer, type Outcome, toAnswer } from "./keptAnswers.ts"
import { record } from "./recordedBody.ts"
import { boundaryOf, hashOf, headPrintOf, isOther, isSameBody, parseKey, type RequestPrint } from "./requestPrint.ts"
import { WatchedBody } from "./watchedBody.ts"

type Response = HttpServerResponse.HttpServerResponse

type StoreError = PersistenceError | Schema.SchemaError

/** Outcomes that survive the process. @internal */
export interface Store {
  readonly get: (id: string) => Effect.Effect<Outcome | undefined, StoreError>
  readonly set: (id: string, outcome: Outcome) => Effect.Effect<void, StoreError>
  readonly remove: (id: string) => Effect.Effect<void, StoreError>
}

/** @internal */
export interface Config {
  readonly applies: (request: HttpServerRequest) => boolean
  readonly entries: Entries
  readonly maxAnswerSize: number
  readonly maxRequestSize: number
  /** Where handlers run. */
  readonly scope: Scope.Scope
  readonly scopeOf: (request: HttpServerRequest) => Effect.Effect<string>
  readonly settles: (response: Response) => boolean
  readonly store: Store | undefined
}

/** A request with a key. */
interface Keyed {
  readonly id: string
  readonly request: HttpServerRequest
  readonly boundary: string | undefined
  /** With its body where that was read into memory. */
  readonly print: RequestPrint
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
}

/** The first one with its key. */
interface First<E> extends Keyed {
  readonly entry: Entry
  /** Its body, where that is not in memory. */
  readonly watched: WatchedBody | undefined
  readonly answered: Deferred.Deferred<Response, E>
  /** Its caller reads no more. */
  readonly gone: Deferred.Deferred<void>
}

const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

/** @internal */
export const make = (config: Config) => {
  const { applies, entries, maxAnswerSize, maxRequestSize, scope, scopeOf, settles, store } = config

  /** Room for an answer that is being recorded. */
  const reserveFor = (entry: Entry) => {
    let size = 0
    return (bytes: number): boolean => {
      size += bytes
      return size <= maxAnswerSize && entries.record(entry, bytes)
    }
  }

  /** The first request with a key, in a fiber that does not end with its connection. */
  const execute = <E, R>(app: Effect.Effect<Response, E, R>, first: First<E>, clock: Clock.Clock) => {
    const { answered, bytes, entry, gone, id, print, request, watched } = first
    const interrupted: Outcome = { print, done: false }
    let begun = false
    let failure: Cause.Cause<E> | undefined = undefined

    const reply = (response: Response) =>
      Deferred.doneUnsafe(
        answered,
        failure === undefined ? Exit.succeed(response) : Exit.failCause(withResponse(failure, response))
      )

    /** Answers the body of the response, where it is kept. */
    const answer = Effect.fnUntraced(function*(response: Response) {
      if (watched !== undefined) yield* watched.open
      const reserve = reserveFor(entry)
      if (response.body._tag === "Stream") {
        const { contentLength, contentType, stream } = response.body
        const recording = yield* record(stream, reserve, Deferred.await(gone))
        reply(HttpServerResponse.setBody(response, HttpBody.stream(recording.stream, contentType, contentLength)))
        return yield* Effect.interruptible(recording.run)
      }
      reply(response)
      if (response.body._tag === "Empty") return new Uint8Array(0)
      return response.body._tag === "Uint8Array" && reserve(response.body.body.length) ? response.body.body : undefined
    })

    const conclude = Effect.fnUntraced(function*(response: Response) {
      const answerBody = yield* answer(response)
      if (failure !== undefined && Cause.hasInterrupts(failure)) return
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
      entries.end(id, outcome, isSettled && !isStored ? millisOf(clock) : undefined)
    })

    const body = bytes === undefined ? watched?.stream : Stream.make(bytes)

    // A root as the server's is, with a scope and hooks that outlive those of the first request.
    const handled = HttpEffect.toHandled(
      Effect.onError(app, (cause) =>
        Effect.sync(() => {
          failure = cause
        })).pipe(
          Effect.provideService(HttpServerRequest, body === undefined ? request : withBody(request, body))
        ),
      (_, response) => conclude(response)
    ).pipe(
      // Roots mark the request that they have answered. This one is not answered by it.
      Effect.provideService(HttpServerRequest, request.modify({})),
      Effect.provideService(TracerDisabledWhen, constTrue)
    )

    const run = Effect.gen(function*() {
      if (store !== undefined) {
        const known = yield* warns(store.get(id))
        if (known !== undefined) {
          Deferred.doneUnsafe(answered, Effect.succeed(repeat(known)))
          return entries.end(id, known)
        }
        yield* warns(store.set(id, interrupted))
      }
      begun = true
      entries.begin(id, print)
      yield* handled
    })

    return Effect.map(Effect.forkIn(run, scope, { startImmediately: true }), (fiber) => {
      entry.interrupt = () => fiber.interruptUnsafe()
      fiber.addObserver((exit) => {
        // Neither does anything after an orderly end.
        if (begun) entries.end(id, interrupted, millisOf(clock))
        else entries.cancel(id, unavailable)
        if (Exit.isFailure(exit)) Deferred.doneUnsafe(answered, exit as Exit.Exit<never, E>)
      })
    })
  }

  /** Reads the body into memory, if its length is known and there is room. */
  const hold = (request: HttpServerRequest): Effect.Effect<Uint8Array<ArrayBuffer> | undefined> => {
    const length = lengthOf(request)
    if (length === 0) return Effect.succeed(new Uint8Array(0))
    if (length === undefined || !(length <= maxRequestSize) || !entries.holdBody(length)) return Effect.undefined
    return Effect.interruptible(Effect.orDie(request.arrayBuffer)).pipe(
      Effect.onError(() => Effect.sync(() => entries.releaseBody(length))),
      Effect.map((buffer) => {
        entries.releaseBody(length - buffer.byteLength)
        return new Uint8Array(buffer)
      })
    )
  }

  const keyedOf = Effect.fnUntraced(function*(request: HttpServerRequest, caller: string, key: string) {
    const boundary = boundaryOf(request)
    const id = yield* hashOf([caller, key])
    const head = yield* headPrintOf(request, boundary)
    const bytes = yield* hold(request)
    const print = bytes === undefined ? head : { ...head, body: yield* Effect.promise(() => printOf(bytes, boundary)) }
    return { id, request, boundary, bytes, print } satisfies Keyed
  })

  const isSame = (entry: Entry, { boundary, bytes, print, request }: Keyed): Effect.Effect<boolean, Response> =>
    Effect.flatMap(Deferred.await(entry.print), (original) => {
      if (original === print) return Effect.succeed(true)
      if (isOther(original, print)) return Effect.succeed(false)
      return Effect.flatMap(Deferred.await(entry.body), (body) => {
        if (body.bytes === 0 && !body.whole) return Effect.succeed(true)
        const compared = bytes === undefined
          ? new WatchedBody(request, boundary, body.bytes).compared
          : Effect.promise(() => printOf(bytes, boundary, body.bytes))
        return Effect.map(compared, (compared) => isSameBody(body, compared))
      })
    })

  const answerTo = <E>(entry: Entry, keyed: Keyed, answer: Effect.Effect<Response, E>): Effect.Effect<Response, E> =>
    Effect.interruptible(
      Effect.matchEffect(isSame(entry, keyed), {
        onFailure: (unavailable) => Effect.succeed(unavailable),
        onSuccess: (same) => same ? answer : Effect.succeed(reused)
      })
    )

  const first = Effect.fnUntraced(function*<E, R>(app: Effect.Effect<Response, E, R>, keyed: Keyed, entry: Entry) {
    const { boundary, bytes, id, request } = keyed
    const caller = yield* Effect.scope
    const answered = Deferred.makeUnsafe<Response, E>()
    const gone = Deferred.makeUnsafe<void>()
    const watched = bytes === undefined ? new WatchedBody(request, boundary, Infinity) : undefined
    if (watched !== undefined) {
      // The request can be read while its scope is open, and its answer need not wait for that.
      yield* Scope.addFinalizer(
        caller,
        Effect.suspend(() =>
          Deferred.isDoneUnsafe(entry.body)
            ? Effect.void
            : Effect.flatMap(watched.finish(maxRequestSize), (print) => Deferred.succeed(entry.body, print))
        )
      )
    }
    yield* Scope.addFinalizer(
      caller,
      Effect.sync(() => {
        Deferred.doneUnsafe(gone, Effect.void)
        entries.detach(id, entry)
      })
    )
    yield* execute(app, { ...keyed, entry, watched, answered, gone }, yield* Clock.Clock)
    return yield* answerTo(entry, keyed, Deferred.await(answered))
  })

  const once = <E, R>(app: Effect.Effect<Response, E, R>, request: HttpServerRequest, key: string) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const caller = yield* restore(scopeOf(request))
        const keyed = yield* keyedOf(request, caller, key)
        const { id } = keyed
        const size = keyed.bytes?.length ?? 0
        const known = entries.find(id, millisOf(yield* Clock.Clock))
        const entry = known ?? entries.add(id, caller)
        if (Predicate.isString(entry)) {
          entries.releaseBody(size)
          return entry === "full" ? unavailable : tooMany
        }
        entries.attach(entry)
        if (known === undefined) {
          entry.held = size
          return yield* first(restore(app), keyed, entry)
        }
        return yield* Effect.ensuring(
          answerTo(entry, keyed, repeated(entry)),
          Effect.sync(() => {
            entries.detach(id, entry)
            entries.releaseBody(size)
          })
        )
      })
    )

  return <E, R>(
    app: Effect.Effect<Response, E, R>
  ): Effect.Effect<Response, E, R | HttpServerRequest | Scope.Scope> =>
    Effect.flatMap(HttpServerRequest, (request): Effect.Effect<Response, E, R | HttpServerRequest | Scope.Scope> => {
      const field = request.headers["idempotency-key"]
      if (field === undefined || !applies(request)) return app
      const key = parseKey(field)
      return key === undefined ? Effect.succeed(malformed) : once(app, request, key)
    })
}

const warns = Effect.tapCause((cause: Cause.Cause<unknown>) =>
  Effect.logWarning("idempotency: the store failed", cause)
)

const succeeds = (effect: Effect.Effect<void, StoreError>): Effect.Effect<boolean> =>
  Effect.matchCause(warns(effect), { onFailure: () => false, onSuccess: () => true })

// --- answers ---------------------------------------------------------------------------------------------------------

/** Those who surround the handler see how it failed; what is answered to it is decided. */
const withResponse = <E>(cause: Cause.Cause<E>, response: Response): Cause.Cause<E> =>
  Cause.fromReasons([
    ...cause.reasons.filter((reason) =>
      reason._tag !== "Die" || !HttpServerResponse.isHttpServerResponse(reason.defect)
    ),
    Cause.makeDieReason(response)
  ])

const repeated = (entry: Entry): Effect.Effect<Response> => Effect.map(Deferred.await(entry.outcome), repeat)

const repeat = ({ answer, done }: Outcome): Response =>
  answer !== undefined
    ? HttpServerResponse.setHeader(fromAnswer(answer), "idempotency-replayed", "true")
    : done
    ? notKept
    : unfinished

const problem = (status: number, title: string, headers?: Readonly<Record<string, string>>): Response =>
  HttpServerResponse.jsonUnsafe({ status, title }, { status, contentType: "application/problem+json", headers })

const malformed = problem(400, "The idempotency key is not a string of 1 to 255 visible ASCII characters")
const reused = problem(422, "The idempotency key was used with another request")
const notKept = problem(409, "The request was executed before; its answer was not kept")
const unfinished = problem(409, "The first request with this key was interrupted; its outcome is unknown")
const unavailable = problem(503, "The request was not executed; idempotency keys can't be kept now", {
  "retry-after": "1"
})
const tooMany = problem(
  429,
  "The request was not executed; too many requests of this caller with an idempotency key are in progress",
  { "retry-after": "1" }
)

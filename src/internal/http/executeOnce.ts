/**
 * A middleware that executes requests with an idempotency key once, and repeats what it has answered.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import { TracerDisabledWhen } from "effect/http/HttpMiddleware"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { PersistenceError } from "effect/persistence/Persistence"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { readBody, withBody } from "./heldRequest.ts"
import { type Entries, type Entry, fromAnswer, type Outcome, toAnswer } from "./keptAnswers.ts"
import { record } from "./recordedBody.ts"

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

interface First<E> {
  readonly request: HttpServerRequest
  /** Where it was read. */
  readonly body: Uint8Array<ArrayBuffer> | undefined
  readonly id: string
  readonly fingerprint: string
  readonly answered: Deferred.Deferred<Response, E>
  /** Its caller reads no more. */
  readonly gone: Deferred.Deferred<void>
}

/** @internal */
export const make = (config: Config) => {
  const { applies, entries, maxAnswerSize, maxRequestSize, scope, scopeOf, settles, store } = config

  /** The first request with a key, in a fiber that does not end with its connection. */
  const execute = <E, R>(app: Effect.Effect<Response, E, R>, first: First<E>, clock: Clock.Clock) => {
    const { answered, body, fingerprint, gone, id, request } = first
    const interrupted: Outcome = { fingerprint, done: false }
    let begun = false
    let failure: Cause.Cause<E> | undefined = undefined

    const reply = (response: Response) =>
      Deferred.doneUnsafe(
        answered,
        failure === undefined ? Exit.succeed(response) : Exit.failCause(withResponse(failure, response))
      )

    const conclude = Effect.fnUntraced(function*(response: Response) {
      let bytes: Uint8Array | undefined = undefined
      if (response.body._tag === "Stream") {
        const { contentLength, contentType, stream } = response.body
        const recording = yield* record(stream, maxAnswerSize, Deferred.await(gone))
        reply(HttpServerResponse.setBody(response, HttpBody.stream(recording.stream, contentType, contentLength)))
        bytes = yield* Effect.interruptible(recording.run)
      } else {
        reply(response)
        if (response.body._tag === "Empty") bytes = new Uint8Array(0)
        else if (response.body._tag === "Uint8Array") bytes = response.body.body
      }
      if (failure !== undefined && Cause.hasInterrupts(failure)) return
      // An error may have been about a body that was torn; only what is in memory certainly was not.
      const isKept = bytes !== undefined && bytes.length <= maxAnswerSize &&
        (body !== undefined || response.status < 400)
      const outcome = isKept
        ? { fingerprint, done: true, answer: toAnswer(response, bytes!) }
        : { fingerprint, done: true }
      const isSettled = settles(response)
      const isStored = store !== undefined && (yield* succeeds(isSettled ? store.set(id, outcome) : store.remove(id)))
      entries.end(id, outcome, isSettled && !isStored ? clock.currentTimeMillisUnsafe() : undefined)
    })

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
      entries.begin(id, fingerprint)
      yield* handled
    })

    return Effect.map(Effect.forkIn(run, scope, { startImmediately: true }), (fiber) => {
      fiber.addObserver((exit) => {
        // Neither does anything after an orderly end.
        if (begun) entries.end(id, interrupted, clock.currentTimeMillisUnsafe())
        else entries.cancel(id, unavailable)
        if (Exit.isFailure(exit)) Deferred.doneUnsafe(answered, exit as Exit.Exit<never, E>)
      })
    })
  }

  const once = <E, R>(app: Effect.Effect<Response, E, R>, request: HttpServerRequest, key: string) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { body, fingerprint, id } = yield* Effect.interruptible(Effect.gen(function*() {
          const id = yield* digest([yield* scopeOf(request), key])
          const body = yield* Effect.orDie(readBody(request, maxRequestSize))
          return { id, body, fingerprint: yield* fingerprintOf(request, body) }
        }))
        const clock = yield* Clock.Clock
        const known = entries.find(id, clock.currentTimeMillisUnsafe())
        const entry = known ?? entries.add(id)
        if (entry === undefined) return unavailable
        let answer: Effect.Effect<Response, E> = repeated(entry)
        if (known === undefined) {
          const answered = Deferred.makeUnsafe<Response, E>()
          const gone = Deferred.makeUnsafe<void>()
          yield* Scope.addFinalizer(yield* Effect.scope, Deferred.succeed(gone, undefined))
          yield* execute(restore(app), { request, body, id, fingerprint, answered, gone }, clock)
          answer = Deferred.await(answered)
        }
        return yield* Effect.interruptible(
          Effect.matchEffect(Deferred.await(entry.fingerprint), {
            onFailure: (unavailable) => Effect.succeed(unavailable),
            onSuccess: (original) => original === fingerprint ? answer : Effect.succeed(reused)
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

// --- keys ------------------------------------------------------------------------------------------------------------

const maxKeyLength = 255

/** A structured string (RFC 9651, section 3.3.3), or without quotes what most clients send. */
const parseKey = (field: string): string | undefined => {
  const key = field.startsWith("\"")
    ? /^"((?:[ !#-[\]-~]|\\["\\])*)"$/.exec(field)?.[1]?.replaceAll(/\\(.)/g, "$1")
    : /^[!#-+\--~]*$/.exec(field)?.[0]
  return key !== undefined && key.length > 0 && key.length <= maxKeyLength ? key : undefined
}

const encoder = new TextEncoder()

const digest = (parts: ReadonlyArray<string>, body: Uint8Array = new Uint8Array(0)): Effect.Effect<string> =>
  Effect.promise(async () => {
    const head = encoder.encode(`${JSON.stringify(parts)}\n`)
    const whole = new Uint8Array(head.length + body.length)
    whole.set(head)
    whole.set(body, head.length)
    return Hex.encode(new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", whole)))
  })

const fingerprintOf = (request: HttpServerRequest, body: Uint8Array | undefined): Effect.Effect<string> => {
  const { "content-length": length = "", "content-type": type = "" } = request.headers
  // Handlers may see the same target below another host, or relative to where they are mounted.
  const target = request.originalUrl.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")
  // Drawn anew each time that a form is encoded.
  const boundary = /^multipart\/.*boundary="?([^";]+)/i.exec(type)?.[1]
  if (boundary === undefined) return digest([request.method, target, type, length], body)
  const text = new TextDecoder("latin1").decode(body).replaceAll(boundary, "")
  return digest([request.method, target, type.replace(boundary, ""), length], encoder.encode(text))
}

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

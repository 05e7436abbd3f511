/**
 * A middleware that executes a request with an idempotency key once. Requests with the same key get the same response.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import { asksForUpgrade } from "../http/asksForUpgrade.ts"
import { isTotal } from "../quota/holder.ts"
import type { Party } from "../quota/party.ts"
import { Execution, type ExecutionOptions, millisOf } from "./firstRequest.ts"
import { Entry } from "./keptAnswers.ts"
import { isSameRequest, type KeyedRequest, keyedRequest } from "./keyedRequest.ts"
import { malformed, repeat, reused, tooMany, unavailable, unkept } from "./problems.ts"
import { parseKey } from "./requestPrint.ts"
import { WatchedBody } from "./watchedBody.ts"

type Response = HttpServerResponse

/** @internal */
export interface Config extends ExecutionOptions {
  readonly applies: (request: HttpServerRequest) => boolean
  readonly maxRequestSize: number
  /** Whose quotas a key counts against. */
  readonly partyOf: (request: HttpServerRequest) => Effect.Effect<Party>
  readonly scopeOf: (request: HttpServerRequest) => Effect.Effect<string>
}

/** @internal */
export const make =
  (config: Config) =>
  <E, R>(app: Effect.Effect<Response, E, R>): Effect.Effect<Response, E, R | HttpServerRequest | Scope.Scope> =>
    Effect.flatMap(HttpServerRequest, (request): Effect.Effect<Response, E, R | HttpServerRequest | Scope.Scope> => {
      const field = request.headers["idempotency-key"]
      if (field === undefined || !config.applies(request)) return app
      if (asksForUpgrade(request)) return Effect.succeed(unkept)
      const key = parseKey(field)
      return key === undefined ? Effect.succeed(malformed) : once(config, app, request, key)
    })

/** Executes the first request with a key. Later requests with that key get its response. */
const once = <E, R>(config: Config, app: Effect.Effect<Response, E, R>, request: HttpServerRequest, key: string) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { entries, partyOf, scopeOf } = config
      const scope = yield* restore(scopeOf(request))
      const party = yield* restore(partyOf(request))
      const keyed = yield* keyedRequest(request, scope, key, party, config)
      const { id } = keyed
      const size = keyed.bytes?.length ?? 0
      const known = entries.find(id, millisOf(yield* Clock.Clock))
      const entry = known ?? entries.add(id, party)
      if (!(entry instanceof Entry)) {
        entries.releaseBody(size, party)
        return isTotal(entry.holder) ? unavailable : tooMany
      }
      entries.attach(entry)
      if (known === undefined) {
        entry.bodySize = size
        return yield* executeFirst(config, restore(app), keyed, entry)
      }
      return yield* Effect.ensuring(
        answerTo(entry, keyed, Effect.map(Deferred.await(entry.outcome), repeat)),
        Effect.sync(() => {
          entries.detach(id, entry)
          entries.releaseBody(size, party)
        })
      )
    })
  )

const executeFirst = Effect.fnUntraced(function*<E, R>(
  config: Config,
  app: Effect.Effect<Response, E, R>,
  keyed: KeyedRequest,
  entry: Entry
) {
  const { boundary, bytes, id, request } = keyed
  const caller = yield* Effect.scope
  const answered = Deferred.makeUnsafe<Response, E>()
  const gone = Deferred.makeUnsafe<void>()
  const watched = bytes === undefined ? new WatchedBody(request, boundary, Infinity) : undefined
  if (watched !== undefined) {
    // The body can be read as long as the scope of the request is open, and the response need not wait for its end.
    yield* Scope.addFinalizer(
      caller,
      Effect.suspend(() =>
        Deferred.isDoneUnsafe(entry.body)
          ? Effect.void
          : Effect.flatMap(watched.finish(config.maxRequestSize), (print) => Deferred.succeed(entry.body, print))
      )
    )
  }
  yield* Scope.addFinalizer(
    caller,
    Effect.sync(() => {
      Deferred.doneUnsafe(gone, Effect.void)
      config.entries.detach(id, entry)
    })
  )
  const first = { ...keyed, entry, watched, answered, gone }
  yield* new Execution<E>(config, first, yield* Clock.Clock).start(app)
  return yield* answerTo(entry, keyed, Deferred.await(answered))
})

const answerTo = <E>(
  entry: Entry,
  keyed: KeyedRequest,
  answer: Effect.Effect<Response, E>
): Effect.Effect<Response, E> =>
  Effect.interruptible(
    Effect.matchEffect(isSameRequest(entry, keyed), {
      onFailure: (unavailable) => Effect.succeed(unavailable),
      onSuccess: (isSame) => isSame ? answer : Effect.succeed(reused)
    })
  )

/**
 * Reads as much of a request with an idempotency key as a decision needs, and compares it with the first request with that key.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import type { Party } from "../quota/party.ts"
import { printOf } from "./bodyDigest.ts"
import type { Entries } from "./entries.ts"
import { lengthOf } from "./heldRequest.ts"
import type { Entry } from "./keptAnswers.ts"
import { boundaryOf, hashOf, headPrintOf, isOther, isSameBody, type RequestPrint } from "./requestPrint.ts"
import { WatchedBody } from "./watchedBody.ts"

/** @internal */
export interface KeyedRequest {
  /** A hash of the key and of the scope that it belongs to. */
  readonly id: string
  readonly request: HttpServerRequest
  readonly boundary: string | undefined
  /** The body is included if it was read into memory. */
  readonly print: RequestPrint
  /** The body, if it was read into memory. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined
}

/** What limits the bodies in memory. @internal */
export interface BodyRoom {
  readonly entries: Entries
  readonly maxRequestSize: number
}

/** Reads the body into memory, if its length is known and there is room. */
const hold = (
  request: HttpServerRequest,
  party: Party,
  { entries, maxRequestSize }: BodyRoom
): Effect.Effect<Uint8Array<ArrayBuffer> | undefined> => {
  const length = lengthOf(request)
  if (length === 0) return Effect.succeed(new Uint8Array(0))
  if (length === undefined || !(length <= maxRequestSize) || !entries.holdBody(length, party)) return Effect.undefined
  // A middleware fails only as its handler does. The HTTP app answers an `HttpServerError` that is a defect as it does a failure:
  // 413 for a body beyond `MaxBodySize`.
  return Effect.interruptible(Effect.orDie(request.arrayBuffer)).pipe(
    Effect.onError(() => Effect.sync(() => entries.releaseBody(length, party))),
    Effect.map((buffer) => {
      entries.releaseBody(length - buffer.byteLength, party)
      return new Uint8Array(buffer)
    })
  )
}

/** `scope` is what the key belongs to. @internal */
export const keyedRequest = Effect.fnUntraced(function*(
  request: HttpServerRequest,
  scope: string,
  key: string,
  party: Party,
  room: BodyRoom
): Effect.fn.Return<KeyedRequest> {
  const boundary = boundaryOf(request)
  const id = yield* hashOf([scope, key])
  const head = yield* headPrintOf(request, boundary)
  const bytes = yield* hold(request, party, room)
  const print = bytes === undefined ? head : { ...head, body: yield* Effect.promise(() => printOf(bytes, boundary)) }
  return { id, request, boundary, bytes, print }
})

/**
 * Whether a request equals the first one with its key. Waits until enough of the first one was read, and then reads as much of
 * its own body. Fails with the response to both if the store could not tell anything about the first one.
 *
 * @internal
 */
export const isSameRequest = (
  entry: Entry,
  { boundary, bytes, print, request }: KeyedRequest
): Effect.Effect<boolean, HttpServerResponse> =>
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

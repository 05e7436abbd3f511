/**
 * The outcome of a request with an idempotency key, which its repetitions wait for, and how its response is kept.
 */
import * as Deferred from "effect/Deferred"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type { Party } from "../quota/party.ts"
import type { BodyPrint } from "./bodyDigest.ts"
import { RequestPrint } from "./requestPrint.ts"

const Answer = Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record(Schema.String, Schema.String),
  cookies: Schema.Array(Schema.String),
  body: Schema.Uint8ArrayFromBase64
})

/** The outcome of a request. `done` says that its handler has ended. `answer` is absent if it could not be kept. @internal */
export const Outcome = Schema.Struct({
  print: RequestPrint,
  done: Schema.Boolean,
  answer: Schema.optionalKey(Answer)
})

/** @internal */
export type Outcome = typeof Outcome.Type

/** @internal */
export const toAnswer = (response: HttpServerResponse.HttpServerResponse, body: Uint8Array): typeof Answer.Type => ({
  status: response.status,
  headers: { ...response.headers },
  cookies: Cookies.toSetCookieHeaders(response.cookies),
  // A copy: the bytes may be a view of a larger buffer, or change later. The `slice` of a Node `Buffer` copies nothing.
  body: new Uint8Array(body)
})

/** @internal */
export const fromAnswer = ({ body, cookies, headers, status }: typeof Answer.Type) => {
  const options = { status, headers: Headers.fromInput(headers), cookies: Cookies.fromSetCookie(cookies) }
  return body.length === 0 ? HttpServerResponse.empty(options) : HttpServerResponse.uint8Array(body, options)
}

/** Bytes of the response. @internal */
export const sizeOf = ({ answer }: Outcome): number => {
  if (answer === undefined) return 0
  let size = answer.body.length
  for (const [name, value] of Object.entries(answer.headers)) size += name.length + value.length
  for (const cookie of answer.cookies) size += cookie.length
  return size
}

/** One key, from its first request on. @internal */
export class Entry {
  /** Whose quotas it counts against: those of whoever has made the first request. */
  readonly party: Party
  /** The print of the first request. If the store fails, this fails with the response for all requests with the key. */
  readonly print: Deferred.Deferred<RequestPrint, HttpServerResponse.HttpServerResponse> = Deferred.makeUnsafe()
  /** The print of the first request's body, once that was read. */
  readonly body: Deferred.Deferred<BodyPrint> = Deferred.makeUnsafe()
  readonly outcome: Deferred.Deferred<Outcome> = Deferred.makeUnsafe()
  /** Interrupts the handler. */
  interrupt: (() => void) | undefined
  /** How many requests wait for the response. */
  callers = 0
  /** Bytes of its request body, and of its answer, that are in memory while it is in progress. */
  bodySize = 0
  recorded = 0

  constructor(party: Party) {
    this.party = party
  }
}

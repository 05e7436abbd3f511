/**
 * Answers to requests with an idempotency key that are not executed: the kept answer of the first request with the key, or
 * problem details (RFC 9457) that say why there is none.
 */
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { fromAnswer, type Outcome } from "./keptAnswers.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The answer to a repeated request. @internal */
export const repeat = ({ answer, done }: Outcome): Response =>
  answer !== undefined
    ? HttpServerResponse.setHeader(fromAnswer(answer), "idempotency-replayed", "true")
    : done
    ? notKept
    : unfinished

const problem = (status: number, title: string, headers?: Readonly<Record<string, string>>): Response =>
  HttpServerResponse.jsonUnsafe({ status, title }, { status, contentType: "application/problem+json", headers })

const notKept = problem(409, "The request was executed before; its answer was not kept")
const unfinished = problem(409, "The first request with this key was interrupted; its outcome is unknown")

/** @internal */
export const malformed = problem(400, "The idempotency key is not a string of 1 to 255 visible ASCII characters")

/** @internal */
export const unkept = problem(400, "A request for an upgrade can't have an idempotency key: it has no answer to keep")

/** @internal */
export const reused = problem(422, "The idempotency key was used with another request")

/** @internal */
export const unavailable = problem(503, "The request was not executed; idempotency keys can't be kept now", {
  "retry-after": "1"
})

/** @internal */
export const tooMany = problem(
  429,
  "The request was not executed; too many requests of this caller with an idempotency key are in progress",
  { "retry-after": "1" }
)

/**
 * Runs web handlers, which take a `Request` and return a `Response`.
 */
import * as Effect from "effect/Effect"
import { HttpServerError, InternalError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** Codings that the platform's `fetch` decodes. */
const decoded = /^(?:x-gzip|gzip|deflate|br|zstd)$/i

const urlOf = Object.getOwnPropertyDescriptor(Response.prototype, "url")?.get

/**
 * A response whose fields describe its body. The platform's `fetch` decodes bodies, but keeps the fields with the coding and
 * the coded length (Fetch Standard, "handle content codings"). Such responses are known by their URL: others have none.
 *
 * @internal
 */
export const asDecoded = (response: Response): Response => {
  const codings = response.headers.get("content-encoding")?.split(",")
  if (codings?.every((coding) => decoded.test(coding.trim())) !== true || urlOf?.call(response) === "") return response
  const headers = new Headers(response.headers)
  headers.delete("content-encoding")
  headers.delete("content-length")
  return new Response(response.body, { status: response.status, headers })
}

/** A `Request` with all of its fields. Browsers remove the fields that pages may not send, such as cookies. */
const withFields = (request: Request, fields: HeadersInit): Request => {
  const headers = new Headers(fields)
  const clone = request.clone.bind(request)
  return Object.defineProperties(request, {
    headers: { value: headers },
    clone: { value: () => withFields(clone(), headers) }
  })
}

/** @internal */
export const serve = (
  handler: (request: Request) => Response | PromiseLike<Response>
): Effect.Effect<HttpServerResponse.HttpServerResponse, HttpServerError, HttpServerRequest.HttpServerRequest> =>
  // Without a router handlers are not interruptible, and the signal would not be aborted.
  Effect.interruptible(Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      Effect.contextWith((context) =>
        Effect.callback((resume, signal) => {
          const fail = (reason: HttpServerError["reason"]) => resume(Effect.fail(new HttpServerError({ reason })))
          try {
            const converted = HttpServerRequest.toWebResult(request, { signal, context })
            if (converted._tag === "Failure") return fail(converted.failure)
            const given = converted.success
            const isWhole = Object.keys(request.headers).every((name) => given.headers.has(name))
            const whole = isWhole ? given : withFields(given, request.headers)
            const call = async () => handler(whole)
            call().then(
              (response) => resume(Effect.succeed(HttpServerResponse.raw(response, { status: response.status }))),
              (cause: unknown) =>
                fail(new InternalError({ request, cause, description: "the handler of the web failed" }))
            )
          } catch (cause) {
            fail(new RequestParseError({ request, cause, description: "this is no Request of the web" }))
          }
        })
      )
  ))

/**
 * Handlers of the web, which take a `Request` and answer with a `Response`.
 */
import * as Effect from "effect/Effect"
import { HttpServerError, InternalError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** Codings that a `fetch` of the platform asks for, and so decodes. */
const decoded = /^(?:x-gzip|gzip|deflate|br|zstd)$/i

const urlOf = Object.getOwnPropertyDescriptor(Response.prototype, "url")?.get

/**
 * A response whose fields are true of its body. A `fetch` of the platform decodes bodies, and leaves the fields that told of
 * the coding and of the coded length (Fetch Standard, "handle content codings"). Only its responses have a URL.
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

/** A `Request` with all of its fields: browsers leave out those that pages may not send to others, such as cookies. */
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
  handler: (request: Request) => Promise<Response>
): Effect.Effect<HttpServerResponse.HttpServerResponse, HttpServerError, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(
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
            handler(isWhole ? given : withFields(given, request.headers)).then(
              (response) => resume(Effect.succeed(HttpServerResponse.raw(response, { status: response.status }))),
              (cause: unknown) =>
                fail(new InternalError({ request, cause, description: "the handler of the web failed" }))
            )
          } catch (cause) {
            fail(new RequestParseError({ request, cause, description: "this is no Request of the web" }))
          }
        })
      )
  )

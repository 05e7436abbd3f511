/**
 * Requests whose body is in memory, so that it can be read more than once and whatever becomes of the connection.
 */
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { ServerRequest, sourceOf } from "./serverRequest.ts"

/** The length of the body, where that is known before it is read. */
const lengthOf = (request: HttpServerRequest.HttpServerRequest): number | undefined => {
  const declared = request.headers["content-length"]
  if (declared !== undefined) return Number(declared)
  const isStream = request instanceof ServerRequest
    ? !sourceOf(request).request.end
    : request.source instanceof Request
    ? request.source.body !== null
    : request.headers["transfer-encoding"] !== undefined
  return isStream ? undefined : 0
}

/**
 * The body, where it is known to have at most `limit` bytes.
 *
 * @internal
 */
export const readBody = (
  request: HttpServerRequest.HttpServerRequest,
  limit: number
): Effect.Effect<Uint8Array<ArrayBuffer> | undefined, HttpServerError> => {
  const length = lengthOf(request)
  if (length === undefined || !(length <= limit)) return Effect.undefined
  return length === 0
    ? Effect.succeed(new Uint8Array(0))
    : Effect.map(request.arrayBuffer, (buffer) => new Uint8Array(buffer))
}

const bodyParts = ["arrayBuffer", "text", "json", "urlParamsBody", "stream", "multipart", "multipartStream"] as const

/**
 * The request with the body that was read from it, whichever way its handler wants it.
 *
 * @internal
 */
export const withBody = (
  request: HttpServerRequest.HttpServerRequest,
  bytes: Uint8Array<ArrayBuffer>
): HttpServerRequest.HttpServerRequest => {
  const body = HttpServerRequest.fromClientRequest(
    HttpClientRequest.post(request.url, {
      body: HttpBody.uint8Array(bytes, request.headers["content-type"])
    })
  )
  const parts: ReadonlySet<PropertyKey> = new Set(bodyParts)
  return new Proxy(request, {
    get(target, property) {
      if (parts.has(property)) return Reflect.get(body, property)
      // Handlers of the web are given it as it is, and it has been read.
      if (property === "source" && target.source instanceof Request && bytes.length > 0) {
        return new Request(target.source, { method: target.method, body: bytes, signal: null })
      }
      if (property === "modify") {
        return (options: Parameters<typeof request.modify>[0]) => withBody(target.modify(options), bytes)
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === "function" ? value.bind(target) : value
    }
  })
}

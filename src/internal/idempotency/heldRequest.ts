/**
 * The request that a handler gets when its body was read before, or is hashed while the handler reads it.
 */
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerError, RequestParseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Multipart from "effect/http/Multipart"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { BodyTooLarge } from "../http/incomingBody.ts"
import { ServerRequest } from "../http/serverRequest.ts"

type Request = HttpServerRequest.HttpServerRequest

/** The length of the body; `undefined` if it is unknown until the body was read. @internal */
export const lengthOf = (request: Request): number | undefined => {
  const declared = request.headers["content-length"]
  if (declared !== undefined) return Number(declared)
  const isStream = request instanceof ServerRequest
    ? !ServerRequest.sourceOf(request).request.end
    : request.source instanceof globalThis.Request
    ? request.source.body !== null
    : request.headers["transfer-encoding"] !== undefined || isStreamOfHttp2(request.source)
  return isStream ? undefined : 0
}

/** HTTP/2 has no `transfer-encoding`: a body of unknown length is what follows a head that has not ended its stream. */
const isStreamOfHttp2 = (source: object): boolean =>
  Predicate.hasProperty(source, "stream") && Predicate.hasProperty(source.stream, "endAfterHeaders") &&
  source.stream.endAfterHeaders === false

/** Reads a body whole. Fails if it is larger than the handler allows. */
const collect = (
  request: Request,
  body: Stream.Stream<Uint8Array, HttpServerError>
): Effect.Effect<Uint8Array<ArrayBuffer>, HttpServerError> =>
  Effect.withFiber((fiber) => {
    const limit = Number(fiber.getRef(HttpIncomingMessage.MaxBodySize) ?? Infinity)
    const chunks: Array<Uint8Array> = []
    let size = 0
    return Effect.as(
      Stream.runForEach(body, (chunk) => {
        size += chunk.length
        if (size > limit) {
          const cause = new BodyTooLarge(limit)
          return Effect.fail(
            new HttpServerError({ reason: new RequestParseError({ request, reason: "BodyTooLarge", cause }) })
          )
        }
        chunks.push(chunk)
        return Effect.void
      }),
      chunks
    ).pipe(Effect.map((chunks) => Bytes.concat(chunks)))
  })

/** All members of a request that read its body. */
const readersOf = (request: Request, body: Stream.Stream<Uint8Array, HttpServerError>) => {
  const bytes = Effect.runSync(Effect.cached(collect(request, body)))
  const read = <A>(as: (read: Request) => Effect.Effect<A, HttpServerError>) =>
    Effect.flatMap(bytes, (bytes) =>
      as(HttpServerRequest.fromClientRequest(
        HttpClientRequest.post(request.url, { body: HttpBody.uint8Array(bytes, request.headers["content-type"]) })
      )))
  const multipartStream: Stream.Stream<Multipart.Part, Multipart.MultipartError> = Stream.pipeThroughChannel(
    Stream.mapError(body, (cause) => Multipart.MultipartError.fromReason("InternalError", cause)),
    Multipart.makeChannel(request.headers)
  )
  return {
    arrayBuffer: read((request) => request.arrayBuffer),
    text: read((request) => request.text),
    json: read((request) => request.json),
    urlParamsBody: read((request) => request.urlParamsBody),
    stream: body,
    multipart: Effect.runSync(Effect.cached(Multipart.toPersisted(multipartStream))),
    multipartStream
  }
}

/**
 * The request with `body` in place of its own body.
 *
 * @internal
 */
export const withBody = (request: Request, body: Stream.Stream<Uint8Array, HttpServerError>): Request =>
  withReaders(request, readersOf(request, body))

const withReaders = (request: Request, readers: ReturnType<typeof readersOf>): Request => {
  let source: globalThis.Request | undefined = undefined
  return new Proxy(request, {
    get(target, property) {
      if (Object.hasOwn(readers, property)) return readers[property as keyof typeof readers]
      // A web handler gets the platform's `Request`, and its own body may already be read.
      if (property === "source" && target.source instanceof globalThis.Request && target.source.body !== null) {
        return source ??= withWebBody(target.source, readers.stream)
      }
      if (property === "modify") {
        return (options: Parameters<typeof request.modify>[0]) => withReaders(target.modify(options), readers)
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === "function" ? value.bind(target) : value
    }
  })
}

const withWebBody = (
  request: globalThis.Request,
  body: Stream.Stream<Uint8Array, HttpServerError>
): globalThis.Request => {
  const init = { method: request.method, body: Stream.toReadableStream(body), signal: null, duplex: "half" }
  return new globalThis.Request(request, init)
}

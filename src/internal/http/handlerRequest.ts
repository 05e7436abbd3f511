/**
 * The `Request` for a web handler on platforms such as Firefox, whose `Request` takes no stream as its body. Effect passes it a
 * stream, which such a platform converts to the text "[object ReadableStream]".
 */
import * as Context from "effect/Context"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { type Failure, readers, readWith, toReadable } from "./webBody.ts"

let tested: { readonly platform: typeof Request; readonly takesStreams: boolean } | undefined = undefined

/** Whether a `Request` may have a stream as its body. */
const takesStreams = (): boolean => {
  if (tested?.platform !== Request) tested = { platform: Request, takesStreams: test() }
  return tested.takesStreams
}

const test = (): boolean => {
  try {
    // A platform that converts the stream to text adds the content type of text.
    const options = { method: "POST", body: new ReadableStream(), duplex: "half" } as RequestInit
    return !new Request("http://peer.invalid", options).headers.has("content-type")
  } catch {
    return false
  }
}

/**
 * A `Request`, or `undefined` if Effect's own conversion works here. `signal` is aborted when the peer no longer waits.
 *
 * @internal
 */
export const make = (
  request: HttpServerRequest.HttpServerRequest,
  signal: () => AbortSignal
): Request | undefined => {
  if (request.method === "GET" || request.method === "HEAD" || takesStreams()) return undefined
  const url = HttpServerRequest.toURL(request)
  return url._tag === "None" ? undefined : withStream(url.value, request, signal())
}

/**
 * A `Request` that reads the body of a `Response`, which takes a stream on every platform. Its own body is marked as used, so
 * that `new Request(request)` fails instead of making a request with an empty body.
 */
const withStream = (
  url: URL,
  { headers, method, stream }: HttpServerRequest.HttpServerRequest,
  signal: AbortSignal
): Request => {
  const failure: Failure = {}
  const body = new Response(
    toReadable(stream, undefined, Context.empty(), failure),
    headers["content-type"] === undefined ? undefined : { headers: { "content-type": headers["content-type"] } }
  )
  return over(new Request(url, { method, headers, body: "", signal }), body, failure)
}

const over = (request: Request, body: Response, failure: Failure): Request => {
  const { signal } = request
  void request.text()
  return Object.defineProperties(request, {
    ...Object.fromEntries(readers.map((name) => [name, { value: () => readWith(name, body, failure) }])),
    body: { get: () => body.body },
    bodyUsed: { get: () => body.bodyUsed },
    clone: {
      configurable: true,
      value: () => {
        const { headers, method, url } = request
        return over(new Request(url, { method, headers, body: "", signal }), body.clone(), failure)
      }
    }
  })
}

/**
 * The `Request` that a handler of the web is given where the platform makes none of a stream, as in Firefox: Effect makes
 * one with a stream as its body, which such platforms take for the text "[object ReadableStream]".
 */
import * as Context from "effect/Context"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import { type Failure, readersOf, toReadable } from "./webBody.ts"

let tested: { readonly platform: typeof Request; readonly takesStreams: boolean } | undefined = undefined

/** Whether a `Request` may have a stream as its body. */
const takesStreams = (): boolean => {
  if (tested?.platform !== Request) tested = { platform: Request, takesStreams: test() }
  return tested.takesStreams
}

const test = (): boolean => {
  try {
    // What is taken for a text gets the type of one.
    const options = { method: "POST", body: new ReadableStream(), duplex: "half" } as RequestInit
    return !new Request("http://peer.invalid", options).headers.has("content-type")
  } catch {
    return false
  }
}

/** `undefined` where Effect's own conversion will do. `signal`: nobody waits for the answer any more. @internal */
export const make = (
  request: HttpServerRequest.HttpServerRequest,
  signal: () => AbortSignal
): Request | undefined => {
  if (request.method === "GET" || request.method === "HEAD" || takesStreams()) return undefined
  const url = HttpServerRequest.toURL(request)
  return url._tag === "None" ? undefined : withStream(url.value, request, signal())
}

/**
 * A `Request` whose body is that of a `Response`, which may be a stream on every platform. Its own body is used up, so that
 * a copy made with `new Request(request)` fails instead of being empty.
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
    ...readersOf(body, failure),
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

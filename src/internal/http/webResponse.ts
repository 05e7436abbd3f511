/**
 * An answer as a `Response` of the Fetch Standard.
 */
import type * as Context from "effect/Context"
import * as Cookies from "effect/http/Cookies"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { setCookiesIn } from "./fields.ts"
import { type Failure, readersOf, toReadable } from "./webBody.ts"

/** @internal */
export interface WebResponseOptions {
  readonly method: string
  readonly redirected: boolean
  /** Its reason becomes the error of a body that was not read to its end. */
  readonly signal: AbortSignal | undefined
  readonly context: Context.Context<never>
}

/** @internal */
export const toWeb = (response: HttpClientResponse.HttpClientResponse, options: WebResponseOptions): Response => {
  const { context, method, redirected, signal } = options
  const { status } = response
  const source = Option.getOrUndefined(HttpClientResponse.toWeb(response))
  const headers = source === undefined ? headersOf(response) : new Headers(source.headers)
  const failure: Failure = {}
  if (method === "HEAD" || status === 204 || status === 205 || status === 304) {
    discard(response, context)
    return complete(new Response(null, { status, headers }), { url: response.url, redirected, headers, failure })
  }
  let stream: Stream.Stream<Uint8Array, unknown> = response.stream
  // A response of the platform's own `fetch` was decoded, and its fields still tell of the coding.
  const decoders = source === undefined ? decodersOf(headers.get("content-encoding")) : undefined
  if (decoders !== undefined) {
    stream = decoders.reduce((stream, decode) => decode(stream, context), stream)
    // What they tell of is gone. Whoever hands the response on would tell others the wrong coding and length.
    headers.delete("content-encoding")
    headers.delete("content-length")
  }
  const body = toReadable(stream, signal, context, failure)
  return complete(new Response(body, { status, headers }), { url: response.url, redirected, headers, failure })
}

/** Lets go of a body that nobody reads. @internal */
export const discard = (response: HttpClientResponse.HttpClientResponse, context: Context.Context<never>): void => {
  toReadable(response.stream, undefined, context).cancel().catch(() => {})
}

const headersOf = (response: HttpClientResponse.HttpClientResponse): Headers => {
  const headers = new Headers()
  for (const name in response.headers) if (name !== "set-cookie") headers.set(name, response.headers[name]!)
  const cookies = setCookiesIn(response.headers) ?? Cookies.toSetCookieHeaders(response.cookies)
  for (const cookie of cookies) headers.append("set-cookie", cookie)
  return headers
}

interface Answer {
  readonly url: string
  readonly redirected: boolean
  readonly headers: Headers
  readonly failure: Failure
}

/** What only the platform's own `fetch` can give a response: a URL, cookies in browsers, and what its body has failed with. */
const complete = (response: Response, { failure, headers, redirected, url }: Answer): Response =>
  Object.defineProperties(response, {
    ...readersOf(response, failure),
    url: { value: url },
    redirected: { value: redirected },
    headers: { value: headers },
    clone: {
      value: () => {
        const copy = Response.prototype.clone.call(response)
        return complete(copy, { url, redirected, headers: new Headers(headers), failure })
      }
    }
  })

type Decode = (stream: Stream.Stream<Uint8Array, unknown>, context: Context.Context<never>) => Stream.Stream<
  Uint8Array,
  unknown
>

/** `undefined`: there is nothing to decode, or a coding that the platform doesn't know, which leaves the body as it is. */
const decodersOf = (encoding: string | null): ReadonlyArray<Decode> | undefined => {
  const codings = (encoding ?? "").toLowerCase().split(",").map((coding) => coding.trim().replace(/^x-gzip$/, "gzip"))
    .filter((coding) => coding !== "" && coding !== "identity")
  return codings.length > 0 && codings.every((coding) => coding === "gzip" || coding === "deflate")
    ? codings.reverse().map((coding) => decoder(coding as CompressionFormat))
    : undefined
}

const decoder = (format: CompressionFormat): Decode => (stream, context) =>
  Stream.fromReadableStream<Uint8Array, unknown>({
    evaluate: () =>
      toReadable(stream, undefined, context).pipeThrough(
        new DecompressionStream(format) as ReadableWritablePair<Uint8Array, Uint8Array>
      ),
    onError: (cause) => cause
  })

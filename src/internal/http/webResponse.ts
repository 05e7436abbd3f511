/**
 * Converts a response to a `Response` of the Fetch Standard.
 */
import type * as Context from "effect/Context"
import * as Cookies from "effect/http/Cookies"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ClientResponse } from "./clientResponse.ts"
import { setCookiesIn } from "./fields.ts"
import { PeerResponse, WholeBody } from "./peerResponse.ts"
import { type Failure, toReadable } from "./webBody.ts"

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
  const about = { url: response.url, redirected }
  if (method === "HEAD" || status === 204 || status === 205 || status === 304) {
    discard(response, context)
    return new PeerResponse(null, { status, headers }, about)
  }
  // The platform's own `fetch` has decoded its response, although the fields still name the coding.
  const decoders = source === undefined ? decodersOf(headers.get("content-encoding")) : undefined
  if (decoders === undefined && response instanceof ClientResponse) {
    const { whole } = response
    if (whole !== undefined) return new PeerResponse(new WholeBody(whole, signal), { status, headers }, about)
  }
  let stream: Stream.Stream<Uint8Array, unknown> = response.stream
  if (decoders !== undefined) {
    stream = decoders.reduce((stream, decode) => decode(stream, context), stream)
    // The body is decoded now. With these fields, a program that passes the response on would send the wrong coding and length.
    headers.delete("content-encoding")
    headers.delete("content-length")
  }
  const failure: Failure = {}
  return new PeerResponse(toReadable(stream, signal, context, failure), { status, headers }, about, failure)
}

/** Releases a body that will not be read. @internal */
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

type Decode = (stream: Stream.Stream<Uint8Array, unknown>, context: Context.Context<never>) => Stream.Stream<
  Uint8Array,
  unknown
>

/** No body is encoded so often. A head has room for thousands of codings, and each would have a decoder of its own. */
const maxCodings = 5

/** The decoders for a coding. `undefined` if there is none, or the platform does not know it: the body then stays as it is. */
const decodersOf = (encoding: string | null): ReadonlyArray<Decode> | undefined => {
  const codings = (encoding ?? "").toLowerCase().split(",").map((coding) => coding.trim().replace(/^x-gzip$/, "gzip"))
    .filter((coding) => coding !== "" && coding !== "identity")
  if (codings.length > maxCodings) throw new Error("too many content codings")
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

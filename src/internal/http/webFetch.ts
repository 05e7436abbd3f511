/**
 * A `fetch` on an `HttpClient`, with the arguments, abortion, redirects and failures of the Fetch Standard.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import { isRepeatable, read, type WebRequest } from "./webRequest.ts"
import { discard, toWeb } from "./webResponse.ts"

/** Fetch Standard, section 4.4. */
const maxRedirects = 20

/** @internal */
export const make =
  (client: HttpClient.HttpClient, context: Context.Context<never>): typeof globalThis.fetch => async (input, init) => {
    let request = await read(input, init)
    const { redirect, signal } = request
    for (let redirects = 0;; redirects++) {
      const response = await execute(client, request, context)
      const isRedirect = redirectStatuses.has(response.status)
      if (isRedirect && redirect !== "manual") {
        const next = redirect === "error"
          ? "the answer is a redirect"
          : redirects === maxRedirects
          ? `more than ${maxRedirects} redirects`
          : redirected(request, response)
        if (next !== undefined) {
          discard(response, context)
          if (typeof next === "string") throw failed(new Error(next))
          request = next
          continue
        }
      }
      try {
        return toWeb(response, { method: request.method, redirected: redirects > 0, signal, context })
      } catch (cause) {
        // `Headers` have refused a field.
        discard(response, context)
        throw failed(cause)
      }
    }
  }

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

const failed = (cause: unknown): TypeError => new TypeError("fetch failed", { cause })

const execute = async (
  client: HttpClient.HttpClient,
  { body, headers, method, signal, url }: WebRequest,
  context: Context.Context<never>
): Promise<HttpClientResponse.HttpClientResponse> => {
  const exit = signal?.aborted === true ? undefined : await Effect.runPromiseExitWith(context)(
    client.execute(HttpClientRequest.makeWith(method, url, UrlParams.empty, Option.none(), headers, body)),
    signal && { signal }
  )
  if (exit?._tag === "Success") return exit.value
  if (!signal?.aborted) throw failed(Cause.squash(exit!.cause))
  // Nobody will read the body. A stream that is being sent is locked, and whoever sends it has told it.
  void (body as { readonly body?: Partial<ReadableStream> }).body?.cancel?.(signal.reason).catch(() => {})
  throw signal.reason
}

/** The request that follows a redirect (Fetch Standard, "HTTP-redirect fetch"), or a text that says why there is none. */
const redirected = (
  request: WebRequest,
  { headers, status }: HttpClientResponse.HttpClientResponse
): WebRequest | string | undefined => {
  const location = headers["location"]
  if (location === undefined) return undefined
  const from = new URL(request.url)
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined
  if (to === undefined) return "the location of the redirect is no URL"
  // The scheme is not compared: both reach the same peer.
  if (to.host !== from.host || !/^https?:$/.test(to.protocol)) {
    return `a redirect to ${to.host}, and this reaches ${from.host} alone`
  }
  if (to.hash === "") to.hash = from.hash
  const { method } = request
  const becomesGet = status === 303
    ? method !== "GET" && method !== "HEAD"
    : (status === 301 || status === 302) && method === "POST"
  if (becomesGet) {
    return {
      ...request,
      method: "GET",
      url: to.href,
      body: HttpBody.empty,
      headers: bodyFields.reduce((headers, name) => Headers.remove(headers, name), request.headers)
    }
  }
  return isRepeatable(request.body) || status === 303
    ? { ...request, url: to.href }
    : "the body is a stream, and can't be sent again after a redirect"
}

/** Fields that describe the body. */
const bodyFields = ["content-encoding", "content-language", "content-location", "content-type", "content-length"]

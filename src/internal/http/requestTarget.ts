/**
 * The URL of a request of Effect's client, taken apart: what it names, and what is sent.
 */
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Url from "effect/http/Url"
import { maxTargetLength, targetPattern } from "../frame/grammar.ts"

/** @internal */
export interface RequestTarget {
  /** Absolute, without a fragment. */
  readonly url: string
  readonly authority: string
  /** Path and query. */
  readonly target: string
  /** Why the target can't be sent. */
  readonly fault: string | undefined
}

/** The origin of URLs that were given as a path; a name that nothing resolves (RFC 6761). @internal */
export const origin = "http://peer.invalid"

/** Whether a URL begins with a scheme, leaving out what the URL parser ignores in front (URL Standard, section 4.4). */
// oxlint-disable-next-line no-control-regex
const absolute = /^[\0-\x20]*[a-z][a-z0-9+.-]*:/i

/**
 * A URL that is relative is a path of the peer. Two slashes at the beginning are an empty segment of that path: nothing
 * but the peer can be named.
 *
 * @internal
 */
export const resolve = (url: string): string => {
  if (url.startsWith(origin)) return url
  const path = withoutInnerOrigin(url)
  if (path.startsWith("/")) return origin + path
  return absolute.test(path) ? path : `${origin}/${path}`
}

/** `HttpClientRequest.prependUrl` and the like put what they are given in front of a URL that has been resolved before. */
const withoutInnerOrigin = (url: string): string => {
  const at = url.indexOf(origin)
  if (at === -1 || /[?#]/.test(url.slice(0, at))) return url
  return url.slice(0, at).replace(/\/$/, "") + url.slice(at + origin.length)
}

/** Effect's clients, spans, cookies and redirects want whole URLs. @internal */
export const withWholeUrl = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest => {
  const url = resolve(request.url)
  if (url === request.url) return request
  // It was derived from one that was resolved for this call, so that nobody else has it. It stays the same object, since
  // `HttpClient.withScope` finds the scope of a call by it.
  if (withoutInnerOrigin(request.url) !== request.url) return Object.assign(request, { url })
  return HttpClientRequest.makeWith(
    request.method,
    url,
    request.urlParams,
    request.hash,
    request.headers,
    request.body
  )
}

/**
 * URLs that the URL parser would leave as they are: no dot segments, nothing to encode, no default port, and a host that
 * is not a number.
 */
const normalised =
  /^https?:\/\/((?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*(?::(?!80\/|443\/)[1-9]\d{0,3})?)((?:\/(?!\.|%2[eE])[\w\-.~!$&'()*+,;=:@%]*)+(?:\?[\w\-.~!$&()*+,;=:@%/?[\]]*)?)$/

/** A percent sign that begins no escape (RFC 3986 section 2.1), before the query. */
const badEscape = /^[^?]*?%(?![0-9a-f]{2})/i

/** Why a target can't be sent. Receivers take bad escapes in a query; one in the path makes a Go server deaf. */
const faultOf = (target: string): string | undefined => {
  if (target.length > maxTargetLength || !targetPattern.test(target)) {
    return "the target is longer than 8,192 bytes or not in origin form"
  }
  return target.includes("%") && badEscape.test(target) ? "the path has a % that begins no escape" : undefined
}

/**
 * Most URLs need no parser: their target goes out as it is written. The others are normalised by one.
 *
 * @internal
 */
export const parse = (request: HttpClientRequest.HttpClientRequest): RequestTarget | Url.UrlError => {
  if (request.urlParams.params.length === 0 && request.hash._tag === "None") {
    const match = normalised.exec(request.url)
    if (match !== null) return named(request.url, match[1]!, match[2]!)
  }
  const url = Url.make(request.url, request.urlParams, undefined)
  if (url._tag === "Failure") return url.failure
  url.success.hash = ""
  const { host, href, pathname, search } = url.success
  // `search` does not tell a query that is empty from none.
  return named(href, host, `${pathname}${search || (href.endsWith("?") ? "?" : "")}`)
}

const named = (url: string, authority: string, target: string): RequestTarget => ({
  url,
  authority,
  target,
  fault: faultOf(target)
})

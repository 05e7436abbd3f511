/**
 * Takes the URL of a client's request apart: the target and the authority that are sent.
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
  /** Says why the target can't be sent. */
  readonly fault: string | undefined
}

/** The origin of URLs that are given as a path. The name never resolves (RFC 6761). @internal */
export const origin = "http://peer.invalid"

/** Whether a URL begins with a scheme, leaving out what the URL parser ignores in front (URL Standard, section 4.4). */
// oxlint-disable-next-line no-control-regex
const absolute = /^[\0-\x20]*[a-z][a-z0-9+.-]*:/i

/**
 * Makes a URL absolute: a relative one is a path of the peer. Two slashes at its beginning are an empty segment of that path,
 * and no authority, so a relative URL can't name another host.
 *
 * @internal
 */
export const resolve = (url: string): string => {
  if (url.startsWith(origin)) return url
  const path = withoutInnerOrigin(url)
  if (path.startsWith("/")) return origin + path
  return absolute.test(path) ? path : `${origin}/${path}`
}

/**
 * Removes the origin from the middle of a URL: `HttpClientRequest.prependUrl` may put a path in front of a URL that was made
 * absolute before.
 */
const withoutInnerOrigin = (url: string): string => {
  const at = url.indexOf(origin)
  if (at === -1 || /[?#]/.test(url.slice(0, at))) return url
  return url.slice(0, at).replace(/\/$/, "") + url.slice(at + origin.length)
}

/** A request with an absolute URL, which Effect's clients, spans, cookies and redirects need. @internal */
export const withWholeUrl = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest => {
  const url = resolve(request.url)
  if (url === request.url) return request
  // The request was derived from one made for this call, so it may be changed. It has to stay the same object:
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
 * Matches URLs that the URL parser would not change: no dot segments, nothing to encode, no default port, and a host that is
 * not a number.
 */
const normalised =
  /^https?:\/\/((?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*(?::(?!80\/|443\/)[1-9]\d{0,3})?)((?:\/(?!\.|%2[eE])[\w\-.~!$&'()*+,;=:@%]*)+(?:\?[\w\-.~!$&()*+,;=:@%/?[\]]*)?)$/

/** Matches a percent sign before the query that begins no escape (RFC 3986 section 2.1). */
const badEscape = /^[^?]*?%(?![0-9a-f]{2})/i

/**
 * Says why a target can't be sent. Bad escapes in a query are accepted by receivers; one in the path makes a Go server stop
 * reading.
 */
const faultOf = (target: string): string | undefined => {
  if (target.length > maxTargetLength || !targetPattern.test(target)) {
    return "the target is longer than 8,192 bytes or not in origin form"
  }
  return target.includes("%") && badEscape.test(target) ? "the path has a % that begins no escape" : undefined
}

/**
 * Takes a request's URL apart. Most URLs are sent as they are written, and need no URL parser. The parser normalises the
 * others.
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
  // `search` is empty for an empty query as well as for none.
  return named(href, host, `${pathname}${search || (href.endsWith("?") ? "?" : "")}`)
}

const named = (url: string, authority: string, target: string): RequestTarget => ({
  url,
  authority,
  target,
  fault: faultOf(target)
})

/**
 * The URL of a request of Effect's client, taken apart: what it names, and what is sent.
 */
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Url from "effect/http/Url"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isTarget } from "../frame/head.ts"

/** @internal */
export interface RequestTarget {
  /** Absolute, without a fragment. */
  readonly url: string
  readonly authority: string
  /** Path and query. */
  readonly target: string
}

const absolute = /^https?:\/\/([^/?#@]+)(\/[^#]*)$/i

/**
 * Most URLs need no parser: their target goes out as it is written. The others are normalised by one.
 *
 * @internal
 */
export const parse = (request: HttpClientRequest.HttpClientRequest): RequestTarget | Url.UrlError => {
  if (request.urlParams.params.length === 0 && Option.isNone(request.hash)) {
    const match = absolute.exec(request.url)
    if (match !== null && isTarget(match[2]!)) return { url: request.url, authority: match[1]!, target: match[2]! }
  }
  const url = Url.make(request.url, request.urlParams, undefined)
  if (Result.isFailure(url)) return url.failure
  url.success.hash = ""
  return {
    url: url.success.href,
    authority: url.success.host,
    target: url.success.pathname + url.success.search
  }
}

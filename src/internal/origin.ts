/**
 * Which web pages may connect (RFC 6455 section 10.2): browsers send `Origin`, and nothing else protects a WebSocket from
 * pages of other sites that ride on the user's cookies.
 */
import type * as Headers from "effect/http/Headers"
import * as Predicate from "effect/Predicate"

/** @internal */
export type Origins = "*" | ReadonlyArray<string> | ((origin: string) => boolean)

/** @internal */
export const isAllowed = (headers: Headers.Headers, origins: Origins | undefined): boolean => {
  const origin = headers.origin
  if (origin === undefined || origins === "*") return true
  if (isSame(origin, headers.host)) return true
  if (origins === undefined) return false
  return Predicate.isFunction(origins) ? origins(origin) : origins.includes(origin)
}

const isSame = (origin: string, host: string | undefined): boolean => {
  if (host === undefined) return false
  try {
    return new URL(origin).host === host.toLowerCase()
  } catch {
    return false
  }
}

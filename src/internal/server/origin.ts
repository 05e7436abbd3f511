/**
 * Which web pages may connect (RFC 6455 section 10.2). A page of any site can dial a WebSocket with the user's cookies, and the
 * `Origin` that browsers send is the only protection from that.
 */
import type * as Headers from "effect/http/Headers"
import * as Predicate from "effect/Predicate"

/** @internal */
export type Origins = "*" | ReadonlyArray<string> | ((origin: string) => boolean)

/** @internal */
export interface PageOptions {
  /** Absent: pages of the host that the request is for. */
  readonly origins?: Origins | undefined
  /** Host names under which this server is reached. Absent: any. */
  readonly hosts?: ReadonlyArray<string> | undefined
}

/** Why a request is turned away: its host is none of those named, or its page may not connect. @internal */
export type Forbidden = "host" | "origin"

/** Reads the options once; a mistake in them is told by a `RangeError`. @internal */
export const makePageCheck = ({ hosts, origins }: PageOptions): (headers: Headers.Headers) => Forbidden | undefined => {
  const isServed = hosts === undefined ? () => true : hostCheck(hosts)
  const mayConnect = originCheck(origins)
  return (headers) => {
    if (!isServed(headers.host)) return "host"
    return headers.origin === undefined || mayConnect(headers.origin, headers.host) ? undefined : "origin"
  }
}

const originCheck = (origins: Origins | undefined): (origin: string, host: string | undefined) => boolean => {
  if (origins === "*") return () => true
  if (origins === undefined) return isSame
  if (Predicate.isFunction(origins)) return origins
  const allowed = new Set(origins.map((entry) => {
    // Browsers send `null` for pages without an origin, such as files.
    const origin = entry === "null" ? entry : normalised(entry)
    if (origin !== undefined) return origin
    throw new RangeError(
      `origins: "${entry}" is no origin. Write scheme, host and, where it is not the scheme's own, port: "https://app.example.com"`
    )
  }))
  return (origin) => allowed.has(normalised(origin) ?? origin)
}

/** Scheme and host, and the port if it is not the scheme's own; `undefined` for text that is no origin. */
const normalised = (origin: string): string | undefined => {
  try {
    const { hash, host, password, pathname, protocol, search, username } = new URL(origin)
    const isBare = host !== "" && /^\/?$/.test(pathname) && `${username}${password}${search}${hash}` === ""
    return isBare ? `${protocol}//${host.toLowerCase()}` : undefined
  } catch {
    return undefined
  }
}

/** Host and port of a `host` field. */
const hostPattern = /^(\[[0-9a-f:.]+\]|[^\s/?#@\\:[\]]+)(?::(\d+))?$/i

/** Whether a page is one of this host. A `host` field without a port has that of the page's scheme. */
const isSame = (origin: string, host: string | undefined): boolean => {
  const page = normalised(origin)
  if (page === undefined || host === undefined || !hostPattern.test(host)) return false
  return normalised(`${page.slice(0, page.indexOf("//"))}//${host}`) === page
}

const hostCheck = (hosts: ReadonlyArray<string>): (host: string | undefined) => boolean => {
  const allowed = hosts.map((entry) => {
    const [, name, port] = hostPattern.exec(entry) ?? []
    if (name !== undefined) return { name: name.toLowerCase(), port }
    throw new RangeError(`hosts: "${entry}" is no host. Write a name, with or without a port: "hub.example.com:3000"`)
  })
  return (host = "") => {
    const [, name, port] = hostPattern.exec(host) ?? []
    return allowed.some((entry) =>
      entry.name === name?.toLowerCase() &&
      // Without a port the field means 80 or 443: the scheme is not known here.
      (entry.port === undefined || entry.port === port || (port === undefined && /^(80|443)$/.test(entry.port)))
    )
  }
}

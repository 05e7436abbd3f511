/**
 * The URL that a client dials: whether it is one, and how logs may show it.
 */

/** The schemes that WebSockets take: they read `http:` and `https:` as `ws:` and `wss:`. */
const schemes = /^(?:wss?|https?|wss?\+unix):/

/** Without what may be secret: user, password and query. @internal */
export const shownUrl = (url: string): string => url.replace(/[?#].*$/s, "").replace(/\/\/[^/]*@/, "//")

/** What is wrong with a URL. @internal */
export const urlFault = (url: string): string | undefined => {
  const expected = `url ${JSON.stringify(shownUrl(url))}: expected ws://host:port/path or wss://host/path`
  try {
    // In pages a path alone is one of their own host.
    const { hash, protocol } = new URL(
      url,
      (globalThis as { readonly location?: { readonly href: string } }).location?.href
    )
    if (!schemes.test(protocol)) return `${expected}, not ${protocol}`
    return hash === "" ? undefined : `${expected}, without a fragment`
  } catch {
    return expected
  }
}

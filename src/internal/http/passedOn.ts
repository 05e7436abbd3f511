/**
 * The answer of a peer as that of a handler, for callers who have no connection.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { setCookiesIn } from "./fields.ts"

/** A cookie whose attributes stay as they are written, whatever Effect knows of them. */
const cookieOf = (line: string): Cookies.Cookie | undefined => {
  const at = line.indexOf("=")
  const cookie = Cookies.makeCookie(line.slice(0, at).trim(), "")
  return at < 0 || cookie._tag === "Failure"
    ? undefined
    : Object.assign(Object.create(Object.getPrototypeOf(cookie.success)), cookie.success, {
      valueEncoded: line.slice(at + 1)
    })
}

/** One record of cookies holds one of each name: further ones are kept under other keys, which are not sent. */
const cookiesOf = (response: HttpClientResponse.HttpClientResponse): Cookies.Cookies => {
  const cookies: Record<string, Cookies.Cookie> = {}
  for (const line of setCookiesIn(response.headers) ?? []) {
    const cookie = cookieOf(line)
    if (cookie === undefined) continue
    cookies[cookie.name in cookies ? `${cookie.name} ${Object.keys(cookies).length}` : cookie.name] = cookie
  }
  return Cookies.fromReadonlyRecord(cookies)
}

/** As `HttpServerResponse.fromClientResponse`, but with the fields of the peer alone, and its cookies to the byte. @internal */
export const passedOn = (response: HttpClientResponse.HttpClientResponse): HttpServerResponse.HttpServerResponse => {
  const { headers, status, stream } = response
  const head = HttpServerResponse.empty({
    status,
    headers: Headers.remove(headers, "set-cookie"),
    cookies: cookiesOf(response)
  })
  const type = headers["content-type"]
  const length = headers["content-length"]
  const body = HttpBody.stream(stream, type ?? "", length === undefined ? undefined : Number(length))
  const answer = HttpServerResponse.setBody(head, body)
  // A body without a type would be given one.
  return type === undefined ? HttpServerResponse.removeHeader(answer, "content-type") : answer
}

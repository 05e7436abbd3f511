/**
 * Fields of requests and responses.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cookies from "effect/http/Cookies"
import type * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as assert from "../assert.ts"
import { assertFailure, type Case, makeCase, seen, serve, serveInspector, serveWith } from "./cases.ts"

/** Sends the value as a request header, has the handler send it back, and returns both ends' view of it. */
const roundTrip = (name: string, value: string) =>
  Effect.gen(function*() {
    let arrived: string | undefined
    yield* serveWith((request) => {
      arrived = request.headers[name]
      return Effect.succeed(HttpServerResponse.empty({ headers: { [name]: value } }))
    })
    const response = yield* HttpClient.get("/", { headers: { [name]: value } })
    return [arrived, response.headers[name]] as const
  })

const keeps = (name: string, value: string) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* roundTrip(name, value), [value, value])
  })

const badValues = {
  "CR LF": "a\r\nx-injected: 1",
  LF: "a\nx-injected: 1",
  CR: "a\rx-injected: 1",
  NUL: "a\u0000b"
}

export const headerCases: ReadonlyArray<Case> = [
  makeCase(
    "request header names arrive in lower case",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.get("/", { headers: { "X-Mixed-CASE": "Value" } }))
      assert.strictEqual(request.headers["x-mixed-case"], "Value")
      assert.isUndefined(request.headers["X-Mixed-CASE"])
    })
  ),

  makeCase(
    "response header names arrive in lower case",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.empty({ headers: { "X-Mixed-CASE": "Value" } })))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.headers["x-mixed-case"], "Value")
    })
  ),

  makeCase("every character of a token is allowed in a header name", keeps("x-!#$%&'*+.^_`|~09az", "1")),
  makeCase(
    "visible ASCII, spaces and tabs inside a value are kept",
    keeps("x-text", "a \t b;c=\"d, e\"; f=(g) <h>{i}\\[j]~")
  ),
  makeCase("an empty value arrives as an empty value", keeps("x-empty", "")),
  makeCase("Latin-1 in a value arrives as the same string", keeps("x-latin", "café £ ÿ")),
  makeCase("a value of 8 KiB arrives whole", keeps("x-big", "0123456789abcdef".repeat(512))),

  makeCase(
    "a value outside Latin-1 arrives as it is or is refused",
    Effect.gen(function*() {
      const exit = yield* Effect.exit(roundTrip("x-unicode", "✓ 😀"))
      if (Exit.isSuccess(exit)) {
        assert.deepStrictEqual(exit.value, ["✓ 😀", "✓ 😀"])
      }
    })
  ),

  makeCase(
    "spaces around a value are kept or trimmed, nothing else",
    Effect.gen(function*() {
      for (const value of yield* roundTrip("x-spaces", "  a  b  ")) {
        assert.strictEqual(value?.trim(), "a  b")
      }
    })
  ),

  makeCase(
    "100 headers arrive, both ways",
    Effect.gen(function*() {
      const headers: Record<string, string> = {}
      for (let index = 0; index < 100; index++) {
        headers[`x-header-${index}`] = `value ${index}`
      }
      const pick = (all: Headers.Headers) =>
        Object.fromEntries(Object.entries(all).filter(([name]) => name.startsWith("x-header-")))
      let arrived: Record<string, string> = {}
      yield* serveWith((request) => {
        arrived = pick(request.headers)
        return Effect.succeed(HttpServerResponse.empty({ headers }))
      })
      const response = yield* HttpClient.get("/", { headers })
      assert.deepStrictEqual(arrived, headers)
      assert.deepStrictEqual(pick(response.headers), headers)
    })
  ),

  makeCase(
    "a header given several values arrives joined by a comma, both ways",
    Effect.gen(function*() {
      let arrived: string | undefined
      yield* serveWith((request) => {
        arrived = request.headers["x-multi"]
        return Effect.succeed(HttpServerResponse.empty({ headers: { "x-multi": ["c", "d"] } }))
      })
      const response = yield* HttpClient.get("/", { headers: { "x-multi": ["a", "b"] } })
      assert.strictEqual(arrived, "a, b")
      assert.strictEqual(response.headers["x-multi"], "c, d")
    })
  ),

  makeCase(
    "accept, authorization and user-agent arrive as given",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(
        HttpClientRequest.get("/").pipe(
          HttpClientRequest.accept("application/json;q=0.9, */*;q=0.1"),
          HttpClientRequest.bearerToken("token"),
          HttpClientRequest.setHeader("user-agent", "suite/1.0")
        )
      )
      assert.strictEqual(request.headers["accept"], "application/json;q=0.9, */*;q=0.1")
      assert.strictEqual(request.headers["authorization"], "Bearer token")
      assert.strictEqual(request.headers["user-agent"], "suite/1.0")
    })
  ),

  makeCase(
    "hop-by-hop headers given by either end do no harm",
    Effect.gen(function*() {
      const hopByHop = { connection: "close, x-hop", "x-hop": "1", "proxy-connection": "close" }
      yield* serveWith((request) =>
        Effect.map(request.text, (text) => HttpServerResponse.text(text, { headers: hopByHop }))
      )
      for (const body of ["first", "second"]) {
        const response = yield* HttpClient.post("/", { headers: hopByHop, body: HttpBody.text(body) })
        assert.strictEqual(yield* response.text, body)
      }
    })
  ),

  makeCase(
    "requests and responses can be shown without their secrets",
    Effect.gen(function*() {
      let shown = ""
      yield* serveWith((request) => {
        shown = `${String(request)} ${JSON.stringify(request)}`
        return Effect.succeed(HttpServerResponse.text("body", { headers: { "set-cookie": "a=hidden-cookie" } }))
      })
      const response = yield* HttpClient.get("/visible", { headers: { authorization: "Bearer hidden-token" } })
      assert.include(shown, "/visible")
      assert.notInclude(shown, "hidden")
      shown = `${String(response)} ${JSON.stringify(response)}`
      assert.include(shown, "200")
      assert.notInclude(shown, "hidden")
    })
  ),

  ...Array.from(Object.entries(badValues), ([name, value]) => [
    makeCase(
      `a request header value with ${name} is refused and never sent`,
      Effect.gen(function*() {
        const urls: Array<string> = []
        yield* serveWith((request) => {
          urls.push(request.url)
          return Effect.succeed(HttpServerResponse.empty())
        })
        const exit = yield* Effect.exit(HttpClient.get("/bad", { headers: { "x-bad": value } }))
        assertFailure(exit, "the request was sent")
        yield* HttpClient.get("/good")
        assert.deepStrictEqual(urls, ["/good"])
      })
    ),

    makeCase(
      `a response header value with ${name} is a 500 or a failure, never sent`,
      Effect.gen(function*() {
        yield* serveWith((request) =>
          Effect.succeed(HttpServerResponse.text("body", request.url === "/bad" ? { headers: { "x-bad": value } } : {}))
        )
        const exit = yield* Effect.exit(HttpClient.get("/bad"))
        if (Exit.isSuccess(exit)) {
          assert.strictEqual(exit.value.status, 500)
          assert.isUndefined(exit.value.headers["x-bad"])
          assert.isUndefined(exit.value.headers["x-injected"])
        }
        const response = yield* HttpClient.get("/good")
        assert.strictEqual(yield* response.text, "body")
      })
    )
  ]).flat(),

  makeCase(
    "a header name that is no token is refused and never sent",
    Effect.gen(function*() {
      const urls: Array<string> = []
      yield* serveWith((request) => {
        urls.push(request.url)
        return Effect.succeed(HttpServerResponse.empty())
      })
      for (const name of ["bad name", "bad:name", "bad\r\nname", "bäd", ""]) {
        const exit = yield* Effect.exit(HttpClient.get("/bad", { headers: { [name]: "1" } }))
        assertFailure(exit, `the request with the header "${name}" was sent`)
      }
      yield* HttpClient.get("/good")
      assert.deepStrictEqual(urls, ["/good"])
    })
  ),

  makeCase(
    "several set-cookie headers stay apart",
    Effect.gen(function*() {
      const expires = new Date("2040-02-29T12:00:00Z")
      yield* serve(Effect.succeed(
        HttpServerResponse.empty().pipe(
          HttpServerResponse.setCookieUnsafe("a", "1", { path: "/", httpOnly: true, sameSite: "strict" }),
          HttpServerResponse.setCookieUnsafe("b", "two words, é;", { expires }),
          HttpServerResponse.setCookieUnsafe("c", "3", { maxAge: "10 seconds", secure: true, domain: "example.com" })
        )
      ))
      const { cookies } = yield* HttpClient.get("/")
      assert.deepStrictEqual(Cookies.toRecord(cookies), { a: "1", b: "two words, é;", c: "3" })
      const options = (name: string) => Option.getOrUndefined(Cookies.get(cookies, name))?.options
      assert.strictEqual(options("a")?.httpOnly, true)
      assert.strictEqual(options("a")?.sameSite, "strict")
      assert.strictEqual(options("a")?.path, "/")
      assert.strictEqual(options("b")?.expires?.getTime(), expires.getTime())
      assert.strictEqual(options("c")?.secure, true)
      assert.strictEqual(options("c")?.domain, "example.com")
    })
  ),

  makeCase(
    "a set-cookie header and the cookies of a response both arrive",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(
        HttpServerResponse.empty({ headers: { "set-cookie": "raw=1; Path=/" } }).pipe(
          HttpServerResponse.setCookieUnsafe("made", "2")
        )
      ))
      const { cookies } = yield* HttpClient.get("/")
      assert.deepStrictEqual(Cookies.toRecord(cookies), { raw: "1", made: "2" })
    })
  ),

  makeCase(
    "an expired cookie arrives as one",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.expireCookieUnsafe(HttpServerResponse.empty(), "gone")))
      const { cookies } = yield* HttpClient.get("/")
      const cookie = Option.getOrThrow(Cookies.get(cookies, "gone"))
      assert.isTrue(cookie.options?.maxAge !== undefined || (cookie.options?.expires?.getTime() ?? 1) <= 0)
    })
  ),

  makeCase(
    "request cookies are parsed and decoded",
    Effect.gen(function*() {
      yield* serve(Effect.gen(function*() {
        const cookies = yield* HttpServerRequest.schemaCookies(
          Schema.Struct({ session: Schema.String, theme: Schema.String, empty: Schema.String })
        )
        return HttpServerResponse.jsonUnsafe(cookies)
      }))
      const response = yield* HttpClient.get("/", { headers: { cookie: "session=a%20b%3D; theme=dark; empty=" } })
      assert.deepStrictEqual(yield* response.json, { session: "a b=", theme: "dark", empty: "" })
    })
  ),

  makeCase(
    "withCookiesRef sends back the cookies it was given",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.succeed(HttpServerResponse.setCookieUnsafe(
          HttpServerResponse.jsonUnsafe(request.cookies),
          `n${Object.keys(request.cookies).length}`,
          "set",
          { path: "/" }
        ))
      )
      const jar = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
      const client = HttpClient.withCookiesRef(yield* HttpClient.HttpClient, jar)
      yield* client.get("/")
      yield* client.get("/")
      const response = yield* client.get("/")
      assert.deepStrictEqual(yield* response.json, { n0: "set", n1: "set" })
    })
  )
]

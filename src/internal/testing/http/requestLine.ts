/**
 * Methods, paths and queries.
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as assert from "../assert.ts"
import { type Case, makeCase, seen, serveInspector, serveWith } from "./cases.ts"

const arrivesAs = (target: string, expected: string) =>
  Effect.gen(function*() {
    yield* serveInspector
    const request = yield* seen(HttpClientRequest.get(target))
    assert.strictEqual(request.url, expected)
  })

const arrivesAsSent = (target: string) => arrivesAs(target, target)

export const requestLineCases: ReadonlyArray<Case> = [
  ...Array.from(["GET", "DELETE", "OPTIONS"] as const, (method) =>
    makeCase(
      `${method} arrives as ${method}`,
      Effect.gen(function*() {
        yield* serveInspector
        const request = yield* seen(HttpClientRequest.make(method)("/things/1"))
        assert.strictEqual(request.method, method)
        assert.strictEqual(request.url, "/things/1")
        assert.strictEqual(request.text, "")
      })
    )),

  ...Array.from(["POST", "PUT", "PATCH", "DELETE", "QUERY"] as const, (method) =>
    makeCase(
      `${method} carries a body`,
      Effect.gen(function*() {
        yield* serveInspector
        const request = yield* seen(
          HttpClientRequest.make(method)("/things").pipe(HttpClientRequest.bodyText(`body of ${method}`))
        )
        assert.strictEqual(request.method, method)
        assert.strictEqual(request.text, `body of ${method}`)
      })
    )),

  makeCase(
    "GET may carry a body",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.get("/search").pipe(HttpClientRequest.bodyText("a query")))
      assert.strictEqual(request.method, "GET")
      assert.strictEqual(request.text, "a query")
    })
  ),

  makeCase(
    "HEAD arrives as HEAD",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.succeed(HttpServerResponse.empty({ status: 200, headers: { "x-method": request.method } }))
      )
      const response = yield* HttpClient.head("/things")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["x-method"], "HEAD")
    })
  ),

  makeCase(
    "a method outside HttpMethod arrives as it is",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(
        HttpClientRequest.makeWith("PROPFIND", "/dav", UrlParams.empty, Option.none(), Headers.empty, HttpBody.empty)
      )
      assert.strictEqual(request.method, "PROPFIND")
    })
  ),

  makeCase("the root path arrives as /", arrivesAsSent("/")),
  makeCase("percent-encoded octets of a path arrive as sent", arrivesAsSent("/a%20b/%2F/%41/%c3%A9/%E2%9C%93/%25")),
  makeCase("sub-delimiters in a path arrive as sent", arrivesAsSent("/~a!$&'()*+,;=:@-._/x")),
  makeCase("empty and repeated segments of a path arrive as sent", arrivesAsSent("/a//b///c/")),
  makeCase("repeated query parameters keep their order", arrivesAsSent("/q?a=1&b=2&a=3&a=1")),
  makeCase("empty values and names without a value arrive as sent", arrivesAsSent("/q?a=&b&=c&&d=")),
  makeCase(
    "plus signs and percent-encoded octets of a query arrive as sent",
    arrivesAsSent("/q?a=x+y&b=%2B&c=a%26b%3D&d=%20")
  ),
  makeCase("percent-encoded unicode in a query arrives as sent", arrivesAsSent("/q?a=%F0%9F%98%80&%E2%9C%93=%C3%A9")),
  makeCase("a second question mark and slashes belong to the query", arrivesAsSent("/q?path=/a/b?c&d=e:f@g")),
  makeCase("a target of 4 KiB arrives whole", arrivesAsSent(`/${"segment/".repeat(400)}?q=${"v".repeat(880)}`)),
  makeCase("a fragment is not sent", arrivesAs("/page?a=1#section", "/page?a=1")),

  makeCase(
    "a trailing question mark is kept or dropped, nothing else",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.get("/q?"))
      assert.include(["/q", "/q?"], request.url)
    })
  ),

  makeCase(
    "urlParams of the client request arrive as the query",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.get("/q?first=0", {
        urlParams: [["a", "1 2"], ["a", "&="], ["b", ""], ["c", "✓"]]
      }))
      const [path, query] = request.url.split("?")
      assert.strictEqual(path, "/q")
      assert.deepStrictEqual(Array.from(new URLSearchParams(query)), [
        ["first", "0"],
        ["a", "1 2"],
        ["a", "&="],
        ["b", ""],
        ["c", "✓"]
      ])
    })
  ),

  makeCase(
    "the handler can make an absolute URL of the request",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.succeed(HttpServerResponse.jsonUnsafe({
          url: Option.map(HttpServerRequest.toURL(request), (url) => url.pathname + url.search).pipe(
            Option.getOrElse(() => "none")
          ),
          original: request.originalUrl.endsWith("/a/b?c=d")
        }))
      )
      const response = yield* HttpClient.get("/a/b?c=d")
      assert.deepStrictEqual(yield* response.json, { url: "/a/b?c=d", original: true })
    })
  ),

  makeCase(
    "a host header is there",
    Effect.gen(function*() {
      yield* serveInspector
      const request = yield* seen(HttpClientRequest.get("/"))
      assert.isTrue((request.headers["host"] ?? "").length > 0)
    })
  ),

  makeCase(
    "remoteAddress and peerAddress can be read",
    Effect.gen(function*() {
      yield* serveWith((request) =>
        Effect.succeed(HttpServerResponse.jsonUnsafe([request.remoteAddress, request.peerAddress].map(Option.isOption)))
      )
      const response = yield* HttpClient.get("/")
      assert.deepStrictEqual(yield* response.json, [true, true])
    })
  ),

  makeCase(
    "an upgrade of an ordinary request is refused",
    Effect.gen(function*() {
      yield* serveWith((request) => Effect.as(request.upgrade, HttpServerResponse.empty()))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 400)
    })
  ),

  makeCase(
    "the url of the response is absolute, without a fragment",
    Effect.gen(function*() {
      yield* serveInspector
      const response = yield* HttpClient.get("/a/b?c=d#e")
      const url = new URL(response.url)
      assert.strictEqual(url.pathname + url.search + url.hash, "/a/b?c=d")
    })
  )
]

/**
 * What other programs can't parse does not leave: a Go server that gets such a request answers no call after it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SwaggerSocketError from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { goClient, goServer, startClient, startHub } from "./peers.ts"

const get = HttpClientRequest.get

const unsendable: ReadonlyArray<readonly [string, HttpClientRequest.HttpClientRequest]> = [
  ["a % at the end of the path", get("/a%")],
  ["a % before no two hexadecimal digits", get("/a%zz/b")],
  ["a % before one hexadecimal digit and a query", get("/a%2?b")],
  ["a bad escape behind a good one", get("/%20%g0")],
  ["a bad escape in an absolute URL", get("http://peer/%e")],
  ["a bad escape beside parameters", get("/%", { urlParams: { a: "b" } })],
  ["a control character in a field", get("/", { headers: { "x-a": "a\u0001b" } })],
  ["an escape character in a field", get("/", { headers: { "x-a": "\u001b[31m" } })],
  ["a delete character in a field", get("/", { headers: { "x-a": "a\u007f" } })],
  ["a line feed in a field", get("/", { headers: { "x-a": "a\nX-B: c" } })],
  ["a control character in the correlation id", get("/", { headers: { "x-correlation-id": "\u0002" } })],
  ["a control character in the host", get("/", { headers: { host: "a\u0003" } })]
]

const sendable: ReadonlyArray<readonly [string, HttpClientRequest.HttpClientRequest, string]> = [
  ["escapes in the path", get("/a%20b/%C3%a9"), "/a%20b/%C3%a9"],
  ["a bad escape in the query, which nobody has to parse", get("/a?b=100%"), "/a?b=100%"],
  ["a tab and text beyond ASCII in a field", get("/t", { headers: { "x-a": "a\tbé" } }), "/t"]
]

/** The authority of a URL becomes the field `host`. */
const authorities: ReadonlyArray<readonly [string, string | undefined]> = [
  ["http://a\r\nX-Admin: 1/x", undefined],
  ["http://a\r\n\r\nGET /admin HTTP/1.1/x", undefined],
  ["http://a\nb/x", "ab"],
  ["http://a\tb/x", "ab"],
  ["http://a b/x", undefined],
  ["http://a\u0001b/x", undefined],
  ["http://bücher.example/x", "xn--bcher-kva.example"],
  ["http://[::1]:8080/x", "[::1]:8080"],
  ["http://A.example:81/x", "a.example:81"]
]

const refusedBy = (http: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest) =>
  Effect.flip(http.execute(request))

const expectInvalid = (error: HttpClientError.HttpClientError, what: string): void => {
  assert.strictEqual(error.reason._tag, "EncodeError", what)
  const cause = "cause" in error.reason ? error.reason.cause : undefined
  assert.isTrue(SwaggerSocketError.isSwaggerSocketError(cause), what)
  assert.strictEqual((cause as SwaggerSocketError.SwaggerSocketError).reason._tag, "InvalidMessage", what)
  assert.strictEqual(SwaggerSocketError.outcomeOf(error), "not-sent", what)
}

const Echo = HttpRouter.add(
  "*",
  "/*",
  Effect.map(
    HttpServerRequest.HttpServerRequest,
    ({ headers, url }) => HttpServerResponse.jsonUnsafe({ url, host: headers.host })
  )
)

describe("requests that Go can't parse", () => {
  it.live("requests that a Go server can't parse fail as not sent on wire v1, and calls go on", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      const { http } = yield* startClient(server.url, { wire: "v1" })
      const { peer } = yield* server.accept
      for (const [what, request] of unsendable) expectInvalid(yield* refusedBy(http, request), what)
      for (const [what, request, target] of sendable) {
        const call = yield* Effect.forkChild(http.execute(request))
        const received = yield* peer.next
        assert.isTrue(received.startsWith(`GET ${target} HTTP/1.1\r\n`), `${what}: ${received}`)
        peer.answer(received, "fine")
        assert.strictEqual((yield* Fiber.join(call)).status, 200, what)
      }
      assert.deepStrictEqual(peer.untaken, [])
    }))

  it.live("requests that a Go server can't parse fail as not sent on wire v2, and calls go on", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api: Echo })
      const { http } = yield* startClient(url)
      for (const [what, request] of unsendable) expectInvalid(yield* refusedBy(http, request), what)
      for (const [what, request, target] of sendable) {
        const { url } = (yield* (yield* http.execute(request)).json) as { readonly url: string }
        assert.strictEqual(url, target, what)
      }
    }))
})

describe("authority of a URL", () => {
  it.live("the authority of a URL is sent to a Go server as one Host field, or is an error", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      const { http } = yield* startClient(server.url, { wire: "v1" })
      const { peer } = yield* server.accept
      for (const [url, host] of authorities) {
        if (host === undefined) {
          const { reason } = yield* refusedBy(http, get(url))
          assert.strictEqual(reason._tag, "InvalidUrlError", JSON.stringify(url))
          continue
        }
        const call = yield* Effect.forkChild(http.get(url))
        const received = yield* peer.next
        assert.match(received, /^GET \/x HTTP\/1\.1\r\nHost: [^\r\n]+\r\nX-Correlation-Id: [0-9a-f-]+\r\n\r\n$/)
        assert.include(received, `\r\nHost: ${host}\r\n`)
        peer.answer(received, "fine")
        yield* Fiber.join(call)
      }
      assert.deepStrictEqual(peer.untaken, [])
    }))

  it.live("the authority of a URL is sent as the field host on wire v2, or is an error", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api: Echo })
      const { http } = yield* startClient(url)
      for (const [url, host] of authorities) {
        if (host === undefined) {
          assert.strictEqual((yield* refusedBy(http, get(url))).reason._tag, "InvalidUrlError", JSON.stringify(url))
        } else {
          assert.deepStrictEqual(yield* (yield* http.get(url)).json, { url: "/x", host })
        }
      }
    }))
})

describe("responses that Go can't parse", () => {
  const Bad = HttpRouter.add(
    "GET",
    "/control",
    Effect.succeed(HttpServerResponse.text("secret", { headers: { "x-a": "a\u0001b" } }))
  )
  const Trailing = HttpRouter.add(
    "GET",
    "/trailer",
    Effect.sync(() =>
      HttpServerResponse.raw(new Response(new Blob(["body"]).stream()), { headers: { trailer: "Content-Length" } })
    )
  )

  it.live("a field with a control character makes the response a 500, on both wires", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api: Bad })
      const { peer } = yield* goClient(url)
      peer.send("GET /control HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1\r\n\r\n")
      const answer = yield* peer.next
      assert.match(answer, /^HTTP\/1\.1 500 \r\n/)
      assert.notInclude(answer, "secret")
      const { http } = yield* startClient(url)
      assert.strictEqual((yield* http.get("/control")).status, 500)
    }))

  it.live("names of trailers are not sent on wire v1, which sends no trailers", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ api: Layer.merge(Bad, Trailing) })
      const { peer } = yield* goClient(url)
      peer.send("GET /trailer HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1\r\n\r\n")
      const head = yield* peer.next
      assert.match(head, /^HTTP\/1\.1 200 \r\n/)
      assert.notMatch(head, /^trailer:/im)
    }))
})

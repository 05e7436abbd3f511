/**
 * The field `date` of responses (RFC 9110 section 6.6.1), as HTTP servers send it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { goClient, startClient, startHub } from "../v1/peers.ts"

const own = "Sun, 06 Nov 1994 08:49:37 GMT"

const api = Layer.mergeAll(
  HttpRouter.add("GET", "/text", HttpServerResponse.text("hello")),
  HttpRouter.add("GET", "/none", HttpServerResponse.empty()),
  HttpRouter.add("GET", "/stream", HttpServerResponse.stream(Stream.make(new Uint8Array(3), new Uint8Array(3)))),
  HttpRouter.add("GET", "/broken", HttpServerResponse.text("x", { headers: { "x-a": "a\r\nb" } })),
  HttpRouter.add("GET", "/fails", Effect.die("oh no")),
  HttpRouter.add("GET", "/own", HttpServerResponse.text("old", { headers: { date: own } })),
  HttpRouter.add("GET", "/never", Effect.never)
)

const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (?:[A-Z][a-z]{2}) \d{4} \d\d:\d\d:\d\d GMT$/

/** A time between `before` and now, to the second. */
const expectNow = (date: string | undefined, before: number, what: string): void => {
  assert.match(date ?? "none", imfFixdate, what)
  const millis = Date.parse(date!)
  assert.isAtLeast(millis, Math.floor(before / 1000) * 1000, what)
  assert.isAtMost(millis, Date.now(), what)
}

describe("date of a response", () => {
  for (const wire of ["v1", "v2"] as const) {
    it.live(`a response's date is the time of the answer unless the handler sets one, on wire ${wire}`, () =>
      Effect.gen(function*() {
        const { url } = yield* startHub({ api })
        const { http } = yield* startClient(url, { wire })
        for (const path of ["/text", "/none", "/stream", "/broken", "/fails", "/absent"]) {
          const before = Date.now()
          const { headers } = yield* http.get(path)
          expectNow(headers.date, before, path)
        }
        assert.strictEqual((yield* http.get("/own")).headers.date, own)
      }))
  }

  it.live("a response that this end makes up for a Go caller has a date", () =>
    Effect.gen(function*() {
      const before = Date.now()
      const { url } = yield* startHub({ api, limits: { v1ResponseTimeout: "50 millis" } })
      const { peer } = yield* goClient(url)
      peer.send("GET /never HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: 1\r\n\r\n")
      const late = yield* peer.next
      assert.match(late, /^HTTP\/1\.1 504 /)
      peer.send("GET / HTTP/1.1\r\nno field\r\n\r\n")
      const malformed = yield* peer.next
      assert.match(malformed, /^HTTP\/1\.1 400 /)
      for (const answer of [late, malformed]) {
        assert.lengthOf(answer.match(/^date: /gim) ?? [], 1)
        expectNow(/^date: (.*)\r$/im.exec(answer)?.[1], before, answer)
      }
    }))
})

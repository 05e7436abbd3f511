/**
 * The field `host` of a request on a connection: it is in the URLs that handlers see, and must not change their paths.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { request } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"
import { hostileV1, nextAnswer } from "../v1/raw.ts"

/** Hosts by which a URL would have another path, user or query than its target. */
const wrong = [
  "hub.example/admin/",
  "hub.example?",
  "hub.example#",
  "hub.example\\admin\\",
  "admin@hub.example",
  "hub.example/../",
  "hub.example evil.example",
  "hub.example, evil.example"
]

const right = ["hub.example", "HUB.example:3000", "192.0.2.1", "[2001:db8::1]:80", "xn--bcher-kva.example", "hub_1"]

describe("host of a request", () => {
  // PROTOCOL.md HEAD-9
  hostile("a host that is none, or two of them, resets the stream with MALFORMED", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      let id = 1
      for (const host of wrong) {
        yield* peer.sendFrames(request(id, "/web/x", { fields: [["host", host]] }))
        yield* peer.expectReset(id, "MALFORMED")
        id += 2
      }
      yield* peer.sendFrames(request(id, "/web/x", { fields: [["host", "hub.example"], ["host", "evil.example"]] }))
      yield* peer.expectReset(id, "MALFORMED")
      for (const host of [...right, undefined]) {
        id += 2
        yield* peer.sendFrames(request(id, "/web/x?y", { fields: host === undefined ? [] : [["host", host]] }))
        const url = new URL(Buffer.from((yield* peer.expectResponse(id)).body).toString())
        assert.strictEqual(url.pathname + url.search, "/web/x?y", host)
      }
    }))

  hostileV1("a host that is none, or two of them, is answered 400 on wire v1", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connectV1
      const statusOf = (...lines: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          yield* peer.send(["GET /web/x HTTP/1.1", ...lines, "", ""].join("\r\n"))
          return (yield* nextAnswer(peer)).status
        })
      for (const host of wrong) assert.strictEqual(yield* statusOf(`Host: ${host}`), 400, host)
      assert.strictEqual(yield* statusOf("Host: hub.example", "Host: evil.example"), 400)
      for (const host of right) assert.strictEqual(yield* statusOf(`Host: ${host}`), 200, host)
    }))
})

/**
 * Which pages and hosts may connect (PROTOCOL.md, "Negotiation").
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { makePageCheck } from "../../src/internal/server/origin.ts"
import { hostile } from "../support/hubUnderAttack.ts"
import { answerOf, hostOf, upgrade, upgradeFields } from "../support/upgrade.ts"

describe("origin", () => {
  const foreign = { origin: "https://evil.example" }

  // PROTOCOL.md NEG-4
  hostile("a foreign origin is answered 403", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, foreign)).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "null" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "not a URL" })).status, 403)
      // Another port of the same host is another origin.
      assert.strictEqual((yield* upgrade(url, { origin: "http://127.0.0.1:1" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "http://127.0.0.1" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "http://hub.example:81", host: "hub.example:82" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}.evil.example` })).status, 403)
    }))

  // PROTOCOL.md NEG-5
  hostile(
    "a foreign origin is answered 403 before the subprotocol is checked (400)",
    ({ url }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* answerOf(url, { ...upgradeFields, ...foreign })).status, 403)
      })
  )

  hostile("upgrades without an origin, and from the same origin, are accepted", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url)).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}` })).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "http://HUB.example", host: "hub.EXAMPLE" })).status, 101)
    }))

  hostile(
    "a port that is the scheme's default makes no difference, and any other one does",
    ({ url }) =>
      Effect.gen(function*() {
        for (
          const [origin, host, status] of [
            ["https://a.example", "a.example:443", 101],
            ["https://a.example", "a.example", 101],
            ["https://a.example:443", "a.example", 101],
            ["http://a.example", "a.example:80", 101],
            ["https://a.example:80", "a.example:80", 101],
            ["http://[::1]:3000", "[::1]:3000", 101],
            ["http://a.example", "a.example:443", 403],
            ["https://a.example", "a.example:80", 403],
            ["https://a.example:8443", "a.example", 403],
            ["https://a.example", "a.example/", 403],
            ["https://a.example", "b@a.example", 403]
          ] as const
        ) assert.strictEqual((yield* upgrade(url, { origin, host })).status, status, `${origin} ${host}`)
      })
  )

  // PROTOCOL.md NEG-4
  hostile("an origin of the list is accepted, and another is answered 403", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, { origin: "https://app.example" })).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "http://app.example" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "https://app.example:444" })).status, 403)
      // The page of a host whose name was made to lead here is "of the same host".
      assert.strictEqual((yield* upgrade(url, { origin: "http://evil.example", host: "evil.example" })).status, 403)
    }), { origins: ["https://app.example"] })

  hostile(
    "an origin of the list may be written with a slash, its default port, or capitals",
    ({ url }) =>
      Effect.gen(function*() {
        for (const name of ["a", "b", "c"]) {
          assert.strictEqual((yield* upgrade(url, { origin: `https://${name}.example` })).status, 101, name)
          assert.strictEqual((yield* upgrade(url, { origin: `http://${name}.example` })).status, 403, name)
        }
        assert.strictEqual((yield* upgrade(url, { origin: "http://d.example:3000" })).status, 101)
        assert.strictEqual((yield* upgrade(url, { origin: "chrome-extension://abc" })).status, 101)
        assert.strictEqual((yield* upgrade(url, { origin: "null" })).status, 101)
      }),
    {
      origins: [
        "https://a.example/",
        "https://b.example:443",
        "HTTPS://C.example",
        "http://d.example:3000",
        "chrome-extension://abc",
        "null"
      ]
    }
  )

  it("an entry that is no origin, or no host, is a RangeError", () => {
    for (const entry of ["app.example.com", "https://a.example/path", "*", "https://u@a.example", ""]) {
      assert.throws(() => makePageCheck({ origins: [entry] }), RangeError, "https://app.example.com")
    }
    for (const entry of ["https://a.example", "a.example/", "a b", ""]) {
      assert.throws(() => makePageCheck({ hosts: [entry] }), RangeError, "hub.example.com:3000")
    }
  })

  hostile(
    "a request for a host that is not in hosts is answered 421, whatever its origin",
    ({ url }) =>
      Effect.gen(function*() {
        for (
          const [host, status] of [
            ["hub.example", 101],
            ["HUB.example:3000", 101],
            ["one.example:8080", 101],
            ["tls.example", 101],
            ["one.example:8081", 421],
            ["evil.example", 421],
            ["hub.example.evil.example", 421],
            ["hub.example@evil.example", 421]
          ] as const
        ) {
          assert.strictEqual((yield* upgrade(url, { host })).status, status, host)
          assert.strictEqual((yield* upgrade(url, { host, origin: `http://${host}` })).status, status, host)
        }
      }),
    { hosts: ["127.0.0.1", "hub.example", "one.example:8080", "tls.example:443"] }
  )

  hostile("origins \"*\" accepts every origin", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, foreign)).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "null" })).status, 101)
    }), { origins: "*" })

  hostile("a predicate decides about origins, and others are answered 403", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, { origin: "https://a.good.example" })).status, 101)
      assert.strictEqual((yield* upgrade(url, foreign)).status, 403)
    }), { origins: (origin) => origin.endsWith(".good.example") })
})

/**
 * PROTOCOL.md, "Negotiation": who gets a WebSocket at all, and what the others are told.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Http from "node:http"
import { makePageCheck } from "../../src/internal/server/origin.ts"
import { hostile } from "./hub.ts"
import { limit, subprotocol } from "./rawPeer.ts"

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

const upgradeFields = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
}

/** What an HTTP request to the socket's path is answered. */
const answerOf = (url: string, headers: Http.OutgoingHttpHeaders): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = Http.request(url.replace("ws:", "http:"), { headers, agent: false, timeout: limit })
    request.on("timeout", () => request.destroy(new Error("no answer")))
    request.on("error", (error) => resume(Effect.fail(error)))
    request.on("upgrade", (response, socket) => {
      socket.destroy()
      resume(Effect.succeed({ status: 101, headers: response.headers, body: "" }))
    })
    request.on("response", (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => body += chunk)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body }))
      )
    })
    request.end()
    return Effect.sync(() => request.destroy())
  })

const upgrade = (url: string, headers: Http.OutgoingHttpHeaders = {}) =>
  answerOf(url, { ...upgradeFields, "sec-websocket-protocol": subprotocol, ...headers })

const hostOf = (url: string) => new URL(url).host

describe("upgrade", () => {
  hostile("a plain GET is answered 426 with upgrade: websocket", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* answerOf(url, {})
      assert.strictEqual(answer.status, 426)
      assert.strictEqual(answer.headers.upgrade, "websocket")
    }))

  hostile("an upgrade to something other than a WebSocket is answered 426", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* answerOf(url, { connection: "Upgrade", upgrade: "h2c" })
      assert.strictEqual(answer.status, 426)
    }))

  hostile(
    "an upgrade without a subprotocol is answered 400 by a server of wire v2 alone, and the body names the right one",
    ({ url }) =>
      Effect.gen(function*() {
        const answer = yield* answerOf(url, upgradeFields)
        assert.strictEqual(answer.status, 400)
        assert.include(answer.body, subprotocol)
      }),
    { wires: ["v2"] }
  )

  hostile(
    "an upgrade with a subprotocol is answered 400 by a server of wire v1 alone",
    ({ url }) =>
      Effect.gen(function*() {
        const answer = yield* upgrade(url)
        assert.strictEqual(answer.status, 400)
        assert.include(answer.body, "no WebSocket subprotocol")
      }),
    { wires: ["v1"] }
  )

  hostile("a wrong subprotocol is answered 400", ({ url }) =>
    Effect.gen(function*() {
      for (const offered of ["chat", "swaggersocket.v3", "SwaggerSocket.V2", "", ",", `chat, ${subprotocol}`]) {
        const answer = yield* upgrade(url, { "sec-websocket-protocol": offered })
        assert.strictEqual(answer.status, 400, `offered: ${offered}`)
      }
    }))

  hostile("the subprotocol is selected when it is offered first", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* upgrade(url, { "sec-websocket-protocol": `${subprotocol}, chat` })
      assert.strictEqual(answer.status, 101)
      assert.strictEqual(answer.headers["sec-websocket-protocol"], subprotocol)
    }))

  hostile("a broken WebSocket key or version is answered 400", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, { "sec-websocket-key": "short" })).status, 400)
      assert.strictEqual((yield* upgrade(url, { "sec-websocket-version": "7" })).status, 400)
    }))

  hostile("compression that a client offers is not accepted", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* upgrade(url, { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" })
      assert.strictEqual(answer.status, 101)
      assert.isUndefined(answer.headers["sec-websocket-extensions"])
    }))
})

describe("origin", () => {
  const foreign = { origin: "https://evil.example" }

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

describe("pending handshakes", () => {
  hostile("upgrades beyond maxPendingHandshakes are answered 503 with retry-after: 1", (hub) =>
    Effect.gen(function*() {
      const first = yield* hub.dial()
      yield* hub.dial()
      const answer = yield* upgrade(hub.url)
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.headers["retry-after"], "1")
      // A handshake that is done, or that has failed, makes room.
      yield* first.handshake()
      yield* first.expectAlive()
      const third = yield* hub.dial()
      assert.strictEqual((yield* upgrade(hub.url)).status, 503)
      yield* third.resetTcp
      yield* hub.expectEvent("ConnectionAttemptFailed")
      const fourth = yield* hub.dial()
      yield* fourth.handshake()
      yield* fourth.expectAlive(1)
    }), { limits: { maxPendingHandshakes: 2 } })
})

describe("platform without upgrades", () => {
  class Hub extends SwaggerSocketServer.Service<Hub>()("hostile/WebHub") {}

  it.live("a platform without upgrades answers 501 with a reason", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpRouter.toWebHandler(Hub.layer({ path: "/socket" }), { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const headers = { upgrade: "websocket", "sec-websocket-protocol": subprotocol }
      const request = new Request("http://hub.example/socket", { headers })
      const response = yield* Effect.promise(() => handler(request))
      assert.strictEqual(response.status, 501)
      assert.include(yield* Effect.promise(() => response.text()), "has no upgrade")
    }))
})

/**
 * PROTOCOL.md, "Negotiation": who gets a WebSocket at all, and what the others are told.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
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

  hostile("an upgrade to something else than a WebSocket is answered 426", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* answerOf(url, { connection: "Upgrade", upgrade: "h2c" })
      assert.strictEqual(answer.status, 426)
    }))

  hostile(
    "no subprotocol is answered 400 by a server of wire v2 alone, and the body names the right one",
    ({ url }) =>
      Effect.gen(function*() {
        const answer = yield* answerOf(url, upgradeFields)
        assert.strictEqual(answer.status, 400)
        assert.include(answer.body, subprotocol)
      }),
    { wires: ["v2"] }
  )

  hostile("a subprotocol is answered 400 by a server of wire v1 alone", ({ url }) =>
    Effect.gen(function*() {
      const answer = yield* upgrade(url)
      assert.strictEqual(answer.status, 400)
      assert.include(answer.body, "no WebSocket subprotocol")
    }), { wires: ["v1"] })

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

  hostile("compression is not accepted", ({ url }) =>
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
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}0` })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}.evil.example` })).status, 403)
    }))

  hostile(
    "a foreign origin is answered 403 before the subprotocol is looked at (400)",
    ({ url }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* answerOf(url, { ...upgradeFields, ...foreign })).status, 403)
      })
  )

  hostile("no origin, and the same origin, are upgraded", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url)).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}` })).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "http://HUB.example", host: "hub.EXAMPLE" })).status, 101)
    }))

  hostile("an origin of the list is upgraded, another is answered 403", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, { origin: "https://app.example" })).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "http://app.example" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: "https://app.example:444" })).status, 403)
      assert.strictEqual((yield* upgrade(url, { origin: `http://${hostOf(url)}` })).status, 101)
    }), { origins: ["https://app.example"] })

  hostile("\"*\" upgrades every origin", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, foreign)).status, 101)
      assert.strictEqual((yield* upgrade(url, { origin: "null" })).status, 101)
    }), { origins: "*" })

  hostile("a predicate decides, else 403", ({ url }) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* upgrade(url, { origin: "https://a.good.example" })).status, 101)
      assert.strictEqual((yield* upgrade(url, foreign)).status, 403)
    }), { origins: (origin) => origin.endsWith(".good.example") })
})

describe("pending handshakes", () => {
  hostile("more than the allowed number are answered 503 with retry-after: 1", (hub) =>
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

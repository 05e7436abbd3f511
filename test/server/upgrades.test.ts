/**
 * PROTOCOL.md, "Negotiation": who gets a WebSocket at all, and what the others are told.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import { hostile } from "../support/hubUnderAttack.ts"
import { subprotocol } from "../support/rawPeer.ts"
import { answerOf, upgrade, upgradeFields } from "../support/upgrade.ts"

describe("upgrade", () => {
  // PROTOCOL.md NEG-5
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

  // PROTOCOL.md NEG-2
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

describe("pending handshakes", () => {
  // PROTOCOL.md NEG-5
  hostile(
    "upgrades beyond a server's pendingHandshakes are answered 503 with retry-after: 1",
    (hub) =>
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
      }),
    { quotas: { server: { pendingHandshakes: 2 } } }
  )
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

/**
 * PROTOCOL.md, "Close codes", "Outcome of a call" and "Heartbeat", the client's side: servers that leave or hang.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { call, type ClientFixture, hostileServer, othersGoOn, reasonOf } from "../support/clientUnderAttack.ts"
import { bytes, data, hex, response } from "../support/frames.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { within } from "../support/waiting.ts"

/** The client comes back, and its calls are answered. */
const comesBack = (fixture: ClientFixture) =>
  Effect.gen(function*() {
    yield* othersGoOn(fixture, yield* fixture.accept(), 1)
  })

describe("TCP reset", () => {
  const lost = (title: string, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostileServer(
      `a TCP reset ${title} is a ConnectionFailure: the call is unknown, and the client dials again`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(call(fixture.http.execute(
            HttpClientRequest.bodyStream(
              HttpClientRequest.post("/"),
              Stream.concat(Stream.make(bytes("start")), Stream.never)
            )
          )))
          yield* peer.expectFrame("Data", 1)
          yield* send(peer)
          yield* peer.resetTcp
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
          const { error } = yield* fixture.expectEvent("ConnectionFailure")
          assert.strictEqual(error.reason._tag, "LinkError")
          yield* comesBack(fixture)
        })
    )

  lost("within a request body", () => Effect.void)
  lost("within a frame", (peer) => peer.sendTcp(hex("82 7e 40 00 02 07 01")))
  lost("within a response body", (peer) =>
    Effect.andThen(
      peer.sendFrames(response(1, 200, { end: false, fields: [["content-length", "8"]] }), data(1, "half")),
      peer.expectAlive()
    ))

  hostileServer(
    "a TCP reset after the response, within the upload, lets the call succeed",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.execute(
          HttpClientRequest.bodyStream(HttpClientRequest.post("/"), Stream.never)
        )))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(response(1, 200, { end: false }), data(1, "all", true))
        yield* peer.expectAlive()
        yield* peer.resetTcp
        assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 200, text: "all" })
        yield* fixture.expectEvent("ConnectionFailure")
        yield* comesBack(fixture)
      })
  )

  hostileServer(
    "a TCP reset without a call is a ConnectionFailure, and the client dials again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        yield* peer.expectAlive()
        yield* peer.resetTcp
        yield* fixture.expectEvent("ConnectionFailure")
        yield* comesBack(fixture)
      })
  )
})

describe("close codes from the server", () => {
  for (const [code, reason] of [[1001, "restart"], [3000, "own"], [4999, "own"], [1005, ""]] as const) {
    hostileServer(
      `close code ${
        code === 1005 ? "none (1005)" : code
      } is a ConnectionClosed by the remote end, and the client dials again`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
          yield* peer.expectFrame("Request", 1)
          yield* code === 1005 ? peer.close() : peer.close(code, reason)
          const event = yield* fixture.expectEvent("ConnectionClosed")
          assert.deepInclude(event, { initiator: "remote", code, reason })
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
          yield* comesBack(fixture)
        })
    )
  }

  hostileServer(
    "close code 1000 is a ConnectionClosed by the remote end, and the client does not dial again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        yield* peer.expectAlive()
        yield* peer.close(1000, "done")
        const event = yield* fixture.expectEvent("ConnectionClosed")
        assert.deepInclude(event, { initiator: "remote", code: 1000, reason: "done" })
        assert.strictEqual(fixture.server.accepted(), 1)
      })
  )

  hostileServer(
    "close code 4109 (REPLACED) makes the client begin a new connection",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        yield* peer.expectAlive()
        yield* peer.close(4109, "replaced")
        yield* (yield* fixture.accept()).expectAlive()
      })
  )

  for (const code of [1002, 1009, 1011, 4001, 4009]) {
    hostileServer(
      `close code ${code} is a ConnectionFailure: the call is unknown, and the client dials again`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
          yield* peer.expectFrame("Request", 1)
          yield* peer.close(code, "because")
          const { error } = yield* fixture.expectEvent("ConnectionFailure")
          if (code > 4000) {
            assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "local", description: "because" })
          }
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
          yield* comesBack(fixture)
        })
    )
  }

  hostileServer(
    "frames before a close frame take effect, and their call succeeds",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        peer.sendNow(response(1, 200, { end: false }), data(1, "all", true))
        yield* peer.close(1001)
        assert.deepStrictEqual(yield* within("the call", Fiber.join(calling)), { status: 200, text: "all" })
      })
  )
})

describe("heartbeat", () => {
  const heartbeat = { interval: "100 millis", timeout: "100 millis" } as const

  const dies = (title: string, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostileServer(
      `${title} is a HeartbeatTimeout: the client closes with 4013 and dials again`,
      (fixture) =>
        Effect.gen(function*() {
          const peer = yield* fixture.accept()
          peer.answersPings = false
          const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
          yield* peer.expectFrame("Request", 1)
          yield* send(peer)
          const { error } = yield* fixture.expectEvent("ConnectionFailure")
          assert.deepInclude(error.reason, { _tag: "HeartbeatTimeout", timeoutMillis: 100 })
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
          yield* comesBack(fixture)
          yield* peer.expectClose(4013)
        }),
      { heartbeat }
    )

  dies("a server that answers no PING", () => Effect.void)
  dies("half a WebSocket frame that is never completed", (peer) => peer.sendTcp(hex("82 7e 40 00 02 07 01")))
})

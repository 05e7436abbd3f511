/**
 * PROTOCOL.md, "Drain" and "Errors": peers that say GOAWAY and do not close the link.
 */
import { assert, describe } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { call, hostileServer, reasonOf } from "../support/clientUnderAttack.ts"
import { data, goAway, request, response } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"
import { within } from "../support/waiting.ts"

describe("client that drains and does not close", () => {
  hostile(
    "a client that drains with nothing in progress is closed by the server with 1000",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(goAway(0, "NO_ERROR"))
        yield* peer.expectClose(1000)
        assert.deepInclude(yield* hub.expectEvent("ConnectionClosed"), { initiator: "local", code: 1000 })
      })
  )

  hostile(
    "a client that drains is closed by the server with 1000 after the last call",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/echo", { method: "POST", end: false }), goAway(0, "NO_ERROR"))
        // The calls of the one that goes away finish, as long as they take.
        yield* peer.expectAlive()
        yield* peer.sendFrames(data(1, "all", true))
        assert.strictEqual(Buffer.from((yield* peer.expectResponse(1)).body).toString(), "all")
        yield* peer.expectClose(1000)
      })
  )

  hostile("a client that drains with a session is closed by the server with 1000", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect({ session: { windowMillis: 60_000, replayBuffer: 1_000_000 } })
      yield* peer.sendFrames(goAway(0, "NO_ERROR"))
      yield* peer.expectClose(1000)
    }))

  hostile(
    "a client that drains, loses its link and does not come back is forgotten after drainTimeout",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ session: { windowMillis: 60_000, replayBuffer: 1_000_000 } })
        yield* peer.sendFrames(goAway(0, "NO_ERROR"))
        yield* peer.expectAlive()
        yield* peer.resetTcp
        yield* hub.expectEvent("ConnectionInterrupted")
        yield* hub.expectEvent("ConnectionClosed")
      }),
    { limits: { drainTimeout: "1 second" } }
  )
})

describe("GOAWAY with an error and without a close frame", () => {
  // PROTOCOL.md DRN-8
  hostile(
    "a client's GOAWAY with an error ends the connection, and calls to the client are unknown",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.expectAlive()
        const [, connection] = yield* hub.server.connections
        const calling = yield* Effect.forkChild(call(ApiClient.make(connection!).get("/")))
        const { streamId } = yield* peer.expectFrame("Request")
        yield* peer.sendFrames(goAway(streamId, "INTERNAL_ERROR", "a bug"))
        const { error } = yield* hub.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, {
          _tag: "ProtocolViolation",
          initiator: "local",
          code: "INTERNAL_ERROR",
          description: "a bug"
        })
        const exit = yield* within("the call", Fiber.await(calling))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
        yield* peer.expectClose(1000)
        const answers = peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "GoAway")
        assert.deepStrictEqual(answers, [])
      })
  )

  hostileServer(
    "a server's GOAWAY with an error ends the connection: its call is unknown, and the client dials again",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(goAway(1, "EXCESSIVE_LOAD", "slow down"))
        // It still answers, which is no sign of life for the call.
        yield* peer.expectAlive()
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", initiator: "local", code: "EXCESSIVE_LOAD" })
        const exit = yield* within("the call", Fiber.await(calling))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
        yield* (yield* fixture.accept()).expectAlive()
      })
  )

  hostileServer(
    "a response that arrives after a server's GOAWAY with an error and before the end succeeds",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept()
        const calling = yield* Effect.forkChild(call(fixture.http.get("/")))
        yield* peer.expectFrame("Request", 1)
        yield* peer.sendFrames(goAway(1, "INTERNAL_ERROR"), response(1, 200))
        assert.strictEqual((yield* within("the call", Fiber.join(calling))).status, 200)
        yield* fixture.expectEvent("ConnectionFailure")
      })
  )

  // PROTOCOL.md DRN-9
  hostileServer(
    "a connection whose link breaks after a server's GOAWAY with an error is not resumed",
    (fixture) =>
      Effect.gen(function*() {
        const peer = yield* fixture.accept({
          session: { token: "t", epoch: "e", windowMillis: 60_000, replayBuffer: 1_000_000 }
        })
        yield* peer.sendFrames(goAway(0, "INTERNAL_ERROR", "a bug"))
        yield* peer.expectAlive()
        yield* peer.resetTcp
        const { error } = yield* fixture.expectEvent("ConnectionFailure")
        assert.deepInclude(error.reason, { _tag: "ProtocolViolation", description: "a bug" })
        assert.isUndefined((yield* Effect.flatMap(fixture.server.accept, (next) => next.expectText("hello"))).resume)
      })
  )
})

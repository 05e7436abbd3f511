/**
 * PROTOCOL.md, "Drain" and "Errors": peers that say GOAWAY and do not close the link.
 */
import { assert, describe } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { call, hostileServer, reasonOf } from "./client.ts"
import { within } from "./events.ts"
import { data, goAway, request, response } from "./frames.ts"
import { hostile } from "./hub.ts"

describe("a client that drains and does not close", () => {
  hostile("is closed by the server with 1000, when nothing is in progress", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(goAway(0, "NO_ERROR"))
      yield* peer.expectClose(1000)
      assert.deepInclude(yield* hub.expectEvent("ConnectionClosed"), { initiator: "local", code: 1000 })
    }))

  hostile("is closed by the server with 1000, behind the last call", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(request(1, "/echo", { method: "POST", end: false }), goAway(0, "NO_ERROR"))
      // The calls of the one that goes away finish, as long as they take.
      yield* peer.expectAlive()
      yield* peer.sendFrames(data(1, "all", true))
      assert.strictEqual(Buffer.from((yield* peer.expectResponse(1)).body).toString(), "all")
      yield* peer.expectClose(1000)
    }))

  hostile("is closed by the server when it has a session, too", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect({ session: { windowMillis: 60_000, replayBuffer: 1_000_000 } })
      yield* peer.sendFrames(goAway(0, "NO_ERROR"))
      yield* peer.expectClose(1000)
    }))

  hostile("and is lost, does not come back, and is forgotten", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect({ session: { windowMillis: 60_000, replayBuffer: 1_000_000 } })
      yield* peer.sendFrames(goAway(0, "NO_ERROR"))
      yield* peer.expectAlive()
      yield* peer.resetTcp
      yield* hub.expectEvent("ConnectionInterrupted")
      yield* hub.expectEvent("ConnectionClosed")
    }))
})

describe("GOAWAY with an error, and no close behind it", () => {
  hostile("of a client: the connection ends, calls that it had are unknown", (hub) =>
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
    }))

  hostileServer(
    "of a server: the connection ends, a call that it had is unknown, the client dials again",
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
    "of a server: a response that arrives before the end succeeds",
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

  hostileServer(
    "of a server, and a link that breaks: the connection is not resumed",
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

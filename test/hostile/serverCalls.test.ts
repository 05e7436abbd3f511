/**
 * PROTOCOL.md, "Streams", the requester's side: clients that answer the calls of the server wrongly.
 */
import { assert, describe } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import { call, reasonOf } from "../support/clientUnderAttack.ts"
import { type Code, data, goAway, response } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { within } from "../support/waiting.ts"

describe("calls of the server", () => {
  const serverCall = (title: string, code: Code, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostile(
      `a client that answers with ${title} has its stream reset with ${code}, which fails its call alone`,
      (hub) =>
        Effect.gen(function*() {
          const peer = yield* hub.connect({ metadata: { name: "hostile" } })
          const connection = yield* hub.server.awaitConnection(({ metadata }) => metadata?.name === "hostile")
          const http = ApiClient.make(connection)
          const calling = yield* Effect.forkChild(call(http.get("/")))
          yield* peer.expectFrame("Request", 2)
          yield* send(peer)
          yield* peer.expectReset(2, code)
          const exit = yield* within("the call", Fiber.await(calling))
          assert.deepInclude(reasonOf(exit), { _tag: "StreamReset", initiator: "local", code, outcome: "unknown" })
          const other = yield* Effect.forkChild(call(http.get("/")))
          yield* peer.expectFrame("Request", 4)
          yield* peer.sendFrames(response(4, 204))
          assert.strictEqual((yield* within("another call", Fiber.join(other))).status, 204)
          yield* peer.expectAlive(1)
        })
    )

  serverCall("DATA before RESPONSE", "PROTOCOL_ERROR", (peer) => peer.sendFrames(data(2, "x")))
  serverCall(
    "a second RESPONSE",
    "PROTOCOL_ERROR",
    (peer) => peer.sendFrames(response(2, 200, { end: false }), response(2, 200))
  )
  serverCall(
    "a wrong content-length",
    "MALFORMED",
    (peer) => peer.sendFrames(response(2, 200, { end: false, fields: [["content-length", "3"]] }), data(2, "four"))
  )
  serverCall("a field in upper case", "MALFORMED", (peer) => peer.sendFrames(response(2, 200, { fields: [["A", ""]] })))

  hostile(
    "a call to a client that never answers and then goes away fails with an unknown outcome",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ metadata: { name: "hostile" } })
        const connection = yield* hub.server.awaitConnection(({ metadata }) => metadata?.name === "hostile")
        const calling = yield* Effect.forkChild(Effect.exit(ApiClient.make(connection).get("/")))
        yield* peer.expectFrame("Request", 2)
        yield* peer.resetTcp
        const exit = yield* within("the call", Fiber.join(calling))
        assert.deepInclude(reasonOf(exit), { _tag: "ConnectionLost", outcome: "unknown" })
      })
  )

  // PROTOCOL.md DRN-1
  hostile(
    "a client's GOAWAY means that later calls of the server are not sent; the client's own calls go on",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ metadata: { name: "hostile" } })
        const connection = yield* hub.server.awaitConnection(({ metadata }) => metadata?.name === "hostile")
        // A stream can't be repeated, so the caller sees what happened.
        const upload = ApiClient.make(connection).execute(
          HttpClientRequest.bodyStream(HttpClientRequest.post("/"), Stream.never)
        )
        const calling = yield* Effect.forkChild(Effect.exit(upload))
        yield* peer.expectFrame("Request", 2)
        yield* peer.sendFrames(goAway(0, "NO_ERROR"))
        const open = reasonOf(yield* within("the open call", Fiber.join(calling)))
        assert.deepInclude(open, { outcome: "not-processed" })
        const late = reasonOf(yield* within("a late call", Effect.exit(upload)))
        assert.deepInclude(late, { outcome: "not-sent" })
        yield* peer.expectAlive(1)
      })
  )
})

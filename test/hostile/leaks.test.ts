/**
 * A peer is told that something has failed, and nothing of the error: no message, no cause, no stack and no path of a file.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { request } from "../support/frames.ts"
import { hostile, type HubOptions, secret } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { ack, hostileV1, metadata, nextAnswer, nextText } from "../v1/raw.ts"

/** Nothing that the peer has received, in frames, texts and closes, tells of the error. */
const assertNothing = (peer: RawPeer) => {
  const received = JSON.stringify(
    peer.log,
    (_key, value: unknown) => value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value
  )
  for (const part of ["s3cret", "Error", "\\n    at ", ".ts", "node_modules", import.meta.dirname]) {
    assert.notInclude(received, part)
  }
}

const dying: HubOptions = {
  authenticate: ({ metadata }) => metadata?.name === "nobody" ? Effect.die(secret) : Effect.succeed("somebody")
}

describe("errors of the program", () => {
  // PROTOCOL.md CAN-1
  hostile(
    "a handler that dies, before or within its answer, tells its peer nothing of the error",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/dies"))
        const answer = yield* peer.expectResponse(1)
        assert.deepStrictEqual([answer.status, answer.body.length], [500, 0])
        yield* peer.sendFrames(request(3, "/breaks"))
        yield* peer.expectFrame("Response", 3)
        const { code, reason } = yield* peer.expectFrame("Reset", 3)
        assert.deepStrictEqual([code, reason], [ErrorCode.INTERNAL_ERROR, "the body failed"])
        const ends = peer.log.filter((event) =>
          event._tag === "Frame" && event.frame._tag === "Data" && event.frame.end
        )
        assert.deepStrictEqual(ends, [])
        assertNothing(peer)
      })
  )

  hostileV1(
    "a handler that dies, before or within its answer, tells a Go peer nothing of the error",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connectV1
        yield* peer.send("GET /dies HTTP/1.1\r\n\r\n")
        const answer = yield* nextAnswer(peer)
        assert.deepStrictEqual([answer.status, answer.body], [500, ""])
        yield* peer.send("GET /breaks HTTP/1.1\r\n\r\n")
        yield* peer.expectClose(1001, 1006)
        assertNothing(peer)
      })
  )

  hostile("authentication that dies tells its client nothing of the error", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dial()
      yield* peer.hello({ metadata: { name: "nobody" } })
      yield* peer.expectClose(1011)
      assertNothing(peer)
    }), dying)

  hostileV1("authentication that dies tells a Go client nothing of the error", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.dialV1
      yield* peer.send(metadata({ name: "nobody" }))
      yield* nextText(peer, "the connection's id")
      yield* peer.send(ack)
      yield* peer.expectClose(1001, 1006)
      assertNothing(peer)
    }), dying)
})

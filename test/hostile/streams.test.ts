/**
 * PROTOCOL.md, "Streams": frames on streams where they don't belong, and streams that may not be.
 */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { type Code, credit, data, type Fields, request, reset, response } from "../support/frames.ts"
import { type Fixture, hostile, type HubOptions } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { until } from "../support/waiting.ts"

const open = (streamId: number, fields: Fields = []) =>
  request(streamId, "/never", { method: "POST", end: false, fields })
const openEnded = (streamId: number) => request(streamId, "/never")

/** A connection error, with the calls that it may have cost. */
const connectionError = (
  title: string,
  code: Code,
  lastStreamId: number,
  send: (peer: RawPeer) => Effect.Effect<unknown>
) =>
  hostile(`${title} is a connection error ${code}`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* send(peer)
      const goAway = yield* peer.expectConnectionError(code)
      assert.strictEqual(goAway.lastStreamId, lastStreamId)
      yield* hub.expectEvent("ConnectionFailure")
    }))

/** A stream error: the stream is reset and its handler interrupted, and the connection lives. */
const streamError = (
  title: string,
  code: Code,
  send: (peer: RawPeer, hub: Fixture) => Effect.Effect<unknown>,
  options: HubOptions = {}
) =>
  // PROTOCOL.md ERR-1
  hostile(`${title} is a stream error ${code}, and the connection lives`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* send(peer, hub)
      yield* peer.expectReset(1, code)
      yield* peer.expectAlive(99)
    }), options)

/** No RESET, no GOAWAY, no close. */
const ignored = (title: string, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
  hostile(`${title} is ignored`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* send(peer)
      const before = peer.log.length
      yield* peer.expectAlive(99)
      const since = peer.log.slice(before).map((event) => event._tag === "Frame" ? event.frame._tag : event._tag)
      assert.deepStrictEqual(since.filter((tag) => tag !== "Credit"), ["Pong", "Response", "Data"])
    }))

/** Stream 1 is used and closed. */
const closed = (peer: RawPeer) => Effect.andThen(peer.sendFrames(request(1, "/ping")), peer.expectResponse(1))

/** Stream 1 was reset by the server. */
const resetByServer = (peer: RawPeer) =>
  Effect.andThen(peer.sendFrames(openEnded(1), data(1, "after END")), peer.expectReset(1, "STREAM_CLOSED"))

describe("idle streams", () => {
  connectionError("DATA on an idle stream", "PROTOCOL_ERROR", 0, (peer) => peer.sendFrames(data(1, "x")))
  connectionError("DATA on an idle stream of the server", "PROTOCOL_ERROR", 0, (peer) => peer.sendFrames(data(2, "x")))
  connectionError("RESET on an idle stream", "PROTOCOL_ERROR", 0, (peer) => peer.sendFrames(reset(1, "CANCELLED")))
  connectionError(
    "RESET on an idle stream of the server",
    "PROTOCOL_ERROR",
    0,
    (peer) => peer.sendFrames(reset(2, "CANCELLED"))
  )
  connectionError("CREDIT on an idle stream", "PROTOCOL_ERROR", 0, (peer) => peer.sendFrames(credit(1, 5)))
  connectionError(
    "CREDIT on an idle stream of the server",
    "PROTOCOL_ERROR",
    0,
    (peer) => peer.sendFrames(credit(2, 5))
  )
  connectionError(
    "a RESPONSE to a stream that was never opened",
    "PROTOCOL_ERROR",
    0,
    (peer) => peer.sendFrames(response(2, 200))
  )
  connectionError(
    "RESPONSE on an idle stream of the client",
    "PROTOCOL_ERROR",
    0,
    (peer) => peer.sendFrames(response(1, 200))
  )
  connectionError(
    "a malformed RESPONSE to a stream that was never opened",
    "PROTOCOL_ERROR",
    0,
    (peer) => peer.sendFrames(response(2, 200, { fields: [["BAD", ""]] }))
  )
})

describe("stream ids", () => {
  // PROTOCOL.md STR-2
  connectionError("an id of the wrong parity", "STREAM_ID_ERROR", 0, (peer) => peer.sendFrames(request(2, "/ping")))
  connectionError(
    "a malformed REQUEST with an id of the wrong parity",
    "STREAM_ID_ERROR",
    0,
    (peer) => peer.sendFrames(request(2, "no target"))
  )
  connectionError(
    "an id used again while its stream is open",
    "STREAM_ID_ERROR",
    1,
    (peer) => peer.sendFrames(openEnded(1), openEnded(1))
  )
  connectionError(
    "an id used again after its stream was closed",
    "STREAM_ID_ERROR",
    1,
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(request(1, "/ping")))
  )
  connectionError(
    "an id used again after its stream was malformed",
    "STREAM_ID_ERROR",
    1,
    (peer) => peer.sendFrames(request(1, "no target"), request(1, "/ping"))
  )
  connectionError(
    "an id used again after this end has reset its stream",
    "STREAM_ID_ERROR",
    1,
    (peer) => Effect.andThen(resetByServer(peer), peer.sendFrames(request(1, "/ping")))
  )
  connectionError(
    "an id used again by a malformed REQUEST",
    "STREAM_ID_ERROR",
    1,
    (peer) => peer.sendFrames(openEnded(1), request(1, "no target"))
  )
  // PROTOCOL.md STR-2
  connectionError(
    "an id below an earlier one",
    "STREAM_ID_ERROR",
    5,
    (peer) => peer.sendFrames(openEnded(5), openEnded(3))
  )

  hostile("ids of streams may be left out, up to 2^53-1", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive(5)
      yield* peer.expectAlive(Number.MAX_SAFE_INTEGER)
    }))
})

describe("closed streams", () => {
  streamError(
    "DATA on a closed stream",
    "STREAM_CLOSED",
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(data(1, "x")))
  )
  streamError(
    "DATA on a stream whose id was left out",
    "STREAM_CLOSED",
    (peer) => Effect.andThen(peer.expectAlive(5), peer.sendFrames(data(1, "x")))
  )
  streamError(
    "RESPONSE on a closed stream",
    "STREAM_CLOSED",
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(response(1, 200)))
  )
  streamError(
    "a malformed RESPONSE on a closed stream",
    "STREAM_CLOSED",
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(response(1, 200, { fields: [["BAD", ""]] })))
  )
  streamError(
    "DATA on a stream that this end has reset",
    "STREAM_CLOSED",
    (peer) => Effect.andThen(peer.sendFrames(openEnded(1), reset(1, "CANCELLED")), peer.sendFrames(data(1, "x")))
  )

  ignored(
    "RESET on a closed stream",
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(reset(1, "CANCELLED"), reset(1, "CANCELLED")))
  )
  ignored(
    "RESET on a stream whose id was left out",
    (peer) => Effect.andThen(peer.expectAlive(5), peer.sendFrames(reset(1, "CANCELLED")))
  )
  ignored("RESET with an unknown code", (peer) => Effect.andThen(closed(peer), peer.sendHex("04 03 01 43 e7")))
  ignored(
    "CREDIT on a closed stream",
    (peer) => Effect.andThen(closed(peer), peer.sendFrames(credit(1, 2147483647), credit(1, 2147483647)))
  )
  ignored("a frame on a stream that the other end has reset", (peer) =>
    Effect.andThen(
      resetByServer(peer),
      peer.sendFrames(data(1, "x", true), response(1, 200), reset(1, "CANCELLED"), credit(1, 5), data(1, "y"))
    ))
  ignored(
    "a malformed RESPONSE on a stream that the other end has reset",
    (peer) => Effect.andThen(resetByServer(peer), peer.sendFrames(response(1, 200, { fields: [["BAD", ""]] })))
  )

  hostile(
    "DATA on one of the last 1,024 streams reset is ignored, and on an older one is a stream error STREAM_CLOSED",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const count = 1025
        const last = count * 2 - 1
        for (let id = 1; id <= last; id += 2) peer.sendNow(request(id, "/ping", { end: false }))
        yield* peer.expectReset(last, "NOT_SERVING")
        yield* peer.sendFrames(data(3, "x"), data(last, "x"), data(1, "x"))
        const first = yield* peer.nextFrame
        assert.deepInclude(first, { _tag: "Reset", streamId: 1, code: 4 })
        yield* peer.expectAlive()
      }),
    { serves: false }
  )
})

describe("half-closed and open streams", () => {
  const interrupts = (send: (peer: RawPeer) => Effect.Effect<unknown>) => (peer: RawPeer, hub: Fixture) =>
    Effect.andThen(send(peer), until("the handler is interrupted", () => hub.interrupted() === 1))

  streamError("DATA after END", "STREAM_CLOSED", interrupts((peer) => peer.sendFrames(openEnded(1), data(1, "x"))))
  streamError(
    "an empty DATA after END",
    "STREAM_CLOSED",
    interrupts((peer) => peer.sendFrames(openEnded(1), data(1, "", true)))
  )
  streamError(
    "DATA after a DATA with END",
    "STREAM_CLOSED",
    interrupts((peer) => peer.sendFrames(open(1), data(1, "x", true), data(1, "y")))
  )
  streamError(
    "a RESPONSE from the requester",
    "PROTOCOL_ERROR",
    interrupts((peer) => peer.sendFrames(open(1), response(1, 200)))
  )
  streamError(
    "a RESPONSE from the requester after END",
    "STREAM_CLOSED",
    interrupts((peer) => peer.sendFrames(openEnded(1), response(1, 200)))
  )

  // PROTOCOL.md STR-5
  hostile("RESET CANCELLED interrupts the handler, and no frame answers it", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(openEnded(1), open(3), data(3, "x"))
      yield* peer.expectAlive()
      yield* peer.sendFrames(reset(1, "CANCELLED"), reset(3, "CANCELLED"))
      yield* until("the handlers are interrupted", () => hub.interrupted() === 2)
      yield* peer.expectAlive(5)
      assert.isFalse(peer.log.some((event) => event._tag === "Frame" && event.frame._tag === "Reset"))
    }))

  hostile("a lost connection interrupts its handlers", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(openEnded(1), open(3), data(3, "x"))
      yield* peer.expectAlive()
      yield* peer.resetTcp
      yield* until("the handlers are interrupted", () => hub.interrupted() === 2)
    }))

  hostile(
    "a handler that answers without reading the body makes the server send RESET NO_ERROR after END",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/ping-not-found", { method: "POST", end: false }), data(1, "x"))
        assert.strictEqual((yield* peer.expectResponse(1)).status, 404)
        yield* peer.expectReset(1, "NO_ERROR")
        yield* peer.sendFrames(data(1, "late"), data(1, "", true))
        yield* peer.expectAlive(3)
      })
  )
})

describe("concurrency", () => {
  // PROTOCOL.md STR-7
  hostile(
    "streams above maxConcurrentStreams are reset with REFUSED_STREAM until one is closed",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(openEnded(1), open(3), openEnded(5), open(7), data(7, "x"))
        yield* peer.expectReset(5, "REFUSED_STREAM")
        yield* peer.expectReset(7, "REFUSED_STREAM")
        yield* peer.sendFrames(reset(1, "CANCELLED"))
        yield* peer.expectAlive(9)
        yield* peer.sendFrames(openEnded(11), openEnded(13))
        yield* peer.expectReset(13, "REFUSED_STREAM")
        assert.strictEqual(hub.interrupted(), 1)
      }),
    { limits: { maxConcurrentStreams: 2 } }
  )

  hostile(
    "handlers that run on after their requests were reset stay within maxConcurrentStreams",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const at = (index: number) => index * 2 + 1
        for (let index = 0; index < 300; index++) {
          yield* peer.sendFrames(request(at(index), "/stubborn"), reset(at(index), "CANCELLED"))
          if (index >= 100) yield* peer.expectReset(at(index), "REFUSED_STREAM")
        }
        assert.strictEqual(hub.seen.stubborn, 100)
        yield* Deferred.succeed(hub.seen.release, undefined)
        yield* until("the end of the handlers", () => hub.seen.stubborn === 0)
        yield* peer.expectAlive(at(300))
      })
  )

  // PROTOCOL.md STR-8
  hostile("requests while no API is served are reset with NOT_SERVING", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(request(1, "/ping"), open(3), data(3, "x"))
      yield* peer.expectReset(1, "NOT_SERVING")
      yield* peer.expectReset(3, "NOT_SERVING")
      yield* peer.expectAlive()
    }), { serves: false })

  hostile(
    "a malformed request while no API is served is MALFORMED, and a wrong content-length is not looked at",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "no path"))
        yield* peer.expectReset(1, "MALFORMED")
        yield* peer.sendFrames(request(3, "/ping", { fields: [["content-length", "x"]] }))
        yield* peer.expectReset(3, "NOT_SERVING")
      }),
    { serves: false }
  )
})

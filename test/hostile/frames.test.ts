/**
 * PROTOCOL.md, "Messages" and "Frames": messages and frames that can't be read, on a connection that was good before.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes, type Code, concat, credit, data, hex, ping, request } from "../support/frames.ts"
import { type Fixture, hostile, type HubOptions } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"

/** The peer is told what it broke, and so are the server's users. */
const broken = (
  title: string,
  code: Code,
  send: (peer: RawPeer, hub: Fixture) => Effect.Effect<unknown>,
  options: HubOptions = {}
) =>
  // PROTOCOL.md ERR-2
  hostile(`${title} is a connection error ${code}`, (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive(1)
      yield* send(peer, hub)
      const goAway = yield* peer.expectConnectionError(code)
      assert.isAtLeast(goAway.lastStreamId, 1)
      const { error } = yield* hub.expectEvent("ConnectionFailure")
      assert.strictEqual(error.reason._tag, "ProtocolViolation")
      if (error.reason._tag === "ProtocolViolation") {
        assert.strictEqual(error.reason.code, code)
        assert.strictEqual(error.reason.initiator, "remote")
      }
    }), options)

const brokenBytes = (title: string, code: Code, message: string) => broken(title, code, (peer) => peer.sendHex(message))

const aSecondHello = `{"type":"hello","version":2}`

describe("messages", () => {
  const tooMany = (what: string, frame: (peer: RawPeer, index: number) => Uint8Array) =>
    // PROTOCOL.md MSG-4
    broken(
      `a message of 1,025 ${what}`,
      "EXCESSIVE_LOAD",
      (peer) => peer.send(concat(...Array.from({ length: 1025 }, (_, index) => frame(peer, index))))
    )

  tooMany("PINGs", (peer) => peer.encode(ping()))
  tooMany("requests", (peer, index) => peer.encode(request(3 + 2 * index, "/never")))
  tooMany("grants of credit", (peer) => peer.encode(credit(0, 1)))
  tooMany("extension frames", () => hex("40 00"))

  hostile("a message of 1,024 frames is accepted", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(...Array.from({ length: 1024 }, () => ping("x")))
      for (let pong = 0; pong < 1024; pong++) yield* peer.expectFrame("Pong")
      yield* peer.expectAlive(1)
    }))

  broken("a text message after the handshake", "PROTOCOL_ERROR", (peer) => peer.send("hello?"))
  broken("an empty text message after the handshake", "PROTOCOL_ERROR", (peer) => peer.send(""))
  broken("a hello after the handshake", "PROTOCOL_ERROR", (peer) => peer.send(aSecondHello))
  broken("an empty message", "PROTOCOL_ERROR", (peer) => peer.send(new Uint8Array(0)))

  // The WebSocket library is set to the larger of both limits: here the frame decoder has to find out.
  broken(
    "a message above maxMessageSize that the WebSocket accepts",
    "FRAME_SIZE_ERROR",
    (peer) => peer.send(concat(...Array.from({ length: 4 }, () => hex(`40 a0 00 27 10 ${"00".repeat(9999)} 00`)))),
    { limits: { maxMessageSize: 32768 } }
  )

  hostile(
    "a text message that is not UTF-8 is closed with 4001, or with 1007 by the WebSocket library",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        peer.ws.send(hex("c3 28"), { binary: false })
        yield* peer.expectClose(4001, 1007)
        yield* hub.expectEvent("ConnectionFailure")
      })
  )

  hostile("a message above maxMessageSize is closed with 1009 or 4005", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.send(new Uint8Array(65537))
      yield* peer.expectClose(1009, 4005)
      yield* hub.expectEvent("ConnectionFailure")
    }))

  hostile(
    "a WebSocket message that announces 2^62 bytes is closed with 1009 before they arrive",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendTcp(hex("82 ff 40 00 00 00 00 00 00 00 01 02 03 04"))
        yield* peer.expectClose(1009, 4005)
        yield* hub.expectEvent("ConnectionFailure")
      })
  )

  hostile(
    "a WebSocket frame that breaks RFC 6455 (not masked, reserved bits) is closed with 1002",
    (hub) =>
      Effect.gen(function*() {
        for (const frame of ["82 01 00", "c2 81 00 00 00 00 00", "83 80 00 00 00 00", "89 fe 00 7e 00 00 00 00"]) {
          const peer = yield* hub.connect()
          yield* peer.sendTcp(hex(frame))
          yield* peer.expectClose(1002)
          yield* hub.expectEvent("ConnectionFailure")
        }
      })
  )

  hostile("a fragmented WebSocket message is read as one", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const message = peer.encode(request(1, "/echo", { method: "POST", end: false }), data(1, "hello", true))
      for (let at = 0; at < message.length; at++) {
        peer.ws.send(message.subarray(at, at + 1), { binary: true, fin: at === message.length - 1 })
      }
      const answer = yield* peer.expectResponse(1)
      assert.strictEqual(Buffer.from(answer.body).toString(), "hello")
    }))

  hostile(
    "a fragmented WebSocket message above the limit is closed with 1009 or 4005",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        for (let part = 0; part < 5; part++) peer.ws.send(new Uint8Array(16384), { binary: true, fin: false })
        yield* peer.expectClose(1009, 4005)
        yield* hub.expectEvent("ConnectionFailure")
      })
  )
})

describe("order of checks", () => {
  brokenBytes("an unknown type (0x08) (check 1)", "UNKNOWN_FRAME", "08 00")
  brokenBytes("type 0 (check 1)", "UNKNOWN_FRAME", "00 00")
  brokenBytes("the reserved type 0x07 (check 1)", "UNKNOWN_FRAME", "07 01 01")
  brokenBytes("an unknown link type (0x13) (check 1)", "UNKNOWN_FRAME", "13 00")
  brokenBytes("an unknown type (0x3f) (check 1)", "UNKNOWN_FRAME", "3f 00")
  // PROTOCOL.md FRM-3
  brokenBytes("an unknown type with END where none belongs (check 1)", "UNKNOWN_FRAME", "88 00")
  brokenBytes("an unknown type among mixed kinds of frames (check 1)", "UNKNOWN_FRAME", "10 00 08 00")
  brokenBytes("an unknown type with a truncated length (check 1)", "UNKNOWN_FRAME", "08")
  brokenBytes("an unknown type with a payload that is missing (check 1)", "UNKNOWN_FRAME", "08 05 00")
  brokenBytes("an unknown type in a frame that is too long (check 1)", "UNKNOWN_FRAME", "08 80 00 80 01")
  brokenBytes("END on RESET (check 2)", "PROTOCOL_ERROR", "84 02 01 07")
  brokenBytes("END on CREDIT (check 2)", "PROTOCOL_ERROR", "85 02 00 01")
  brokenBytes("END on GOAWAY (check 2)", "PROTOCOL_ERROR", "86 02 00 00")
  brokenBytes("END on PING (check 2)", "PROTOCOL_ERROR", "90 00")
  brokenBytes("END on an extension frame (check 2)", "PROTOCOL_ERROR", "c2 00")
  brokenBytes("END where none belongs with a missing payload (check 2)", "PROTOCOL_ERROR", "84 05 01")
  brokenBytes("a link frame, then one of the connection (check 3)", "PROTOCOL_ERROR", "10 00 05 02 00 01")
  brokenBytes("a frame of the connection, then PING (check 3)", "PROTOCOL_ERROR", "05 02 00 01 10 00")
  brokenBytes("mixed kinds with an extension between (check 3)", "PROTOCOL_ERROR", "10 00 42 00 05 02 00 01")
  brokenBytes("no length (check 4)", "FRAME_SIZE_ERROR", "03")
  brokenBytes("half a length (check 4)", "FRAME_SIZE_ERROR", "03 40")
  brokenBytes("a length that is not in its shortest form (check 5)", "PROTOCOL_ERROR", "10 40 01 00")
  brokenBytes("a length above 2^53-1 (check 5)", "PROTOCOL_ERROR", "10 c0 20 00 00 00 00 00 00")
  brokenBytes("a length above maxFrameSize, which is not there (check 6)", "FRAME_SIZE_ERROR", "03 80 00 80 01")
  broken(
    "a frame above maxFrameSize, which is there (check 6)",
    "FRAME_SIZE_ERROR",
    (peer) => peer.send(concat(hex("42 80 00 80 01"), new Uint8Array(32769)))
  )
  brokenBytes("a payload cut short (check 7)", "FRAME_SIZE_ERROR", "03 05 01 68 65")
  brokenBytes("an extension frame cut short (check 7)", "FRAME_SIZE_ERROR", "42 03 61 62")
})

describe("payloads", () => {
  brokenBytes("stream id 0 on DATA", "PROTOCOL_ERROR", "03 01 00")
  brokenBytes("stream id 0 on REQUEST", "PROTOCOL_ERROR", "81 04 00 01 01 2f")
  brokenBytes("an empty DATA payload", "PROTOCOL_ERROR", "03 00")
  brokenBytes("a stream id cut short", "PROTOCOL_ERROR", "03 01 c0")
  brokenBytes("a stream id that is not in its shortest form", "PROTOCOL_ERROR", "03 02 40 01")
  brokenBytes("a stream id above 2^53-1", "PROTOCOL_ERROR", "03 08 ff ff ff ff ff ff ff ff")
  brokenBytes("RESET without a code", "PROTOCOL_ERROR", "04 01 01")
  brokenBytes("RESET with a reason that is not UTF-8", "PROTOCOL_ERROR", "04 04 01 07 c3 28")
  broken(
    "RESET with a reason of 257 bytes",
    "FRAME_SIZE_ERROR",
    (peer) => peer.send(concat(hex("04 41 03 01 07"), bytes("x".repeat(257))))
  )
  broken(
    "GOAWAY with a reason of 257 bytes",
    "FRAME_SIZE_ERROR",
    (peer) => peer.send(concat(hex("06 41 03 00 00"), bytes("x".repeat(257))))
  )
  brokenBytes("CREDIT of 0 to the connection", "PROTOCOL_ERROR", "05 02 00 00")
  brokenBytes("CREDIT above 2^31-1", "PROTOCOL_ERROR", "05 09 00 c0 00 00 00 80 00 00 00")
  brokenBytes("CREDIT with a byte too many", "PROTOCOL_ERROR", "05 03 00 01 00")
  brokenBytes("CREDIT without an increment", "PROTOCOL_ERROR", "05 01 00")
  brokenBytes("ACK with a byte too many", "PROTOCOL_ERROR", "12 02 00 00")
  broken("PING of 126 bytes", "FRAME_SIZE_ERROR", (peer) => peer.send(concat(hex("10 40 7e"), new Uint8Array(126))))
  broken("PONG of 126 bytes", "FRAME_SIZE_ERROR", (peer) => peer.send(concat(hex("11 40 7e"), new Uint8Array(126))))
  brokenBytes("an unknown method byte", "PROTOCOL_ERROR", "81 04 03 0a 01 2f")
  brokenBytes("a target that is not UTF-8", "PROTOCOL_ERROR", "81 06 03 01 03 2f c3 28")
  brokenBytes("a target that runs past the frame", "PROTOCOL_ERROR", "81 04 03 01 05 2f")
  brokenBytes("a field value that is not UTF-8", "PROTOCOL_ERROR", "81 08 03 01 01 2f 04 02 c3 28")
  brokenBytes("a field cut short", "PROTOCOL_ERROR", "81 06 03 01 01 2f 04 05")
  brokenBytes("RESPONSE with the status 199", "PROTOCOL_ERROR", "82 03 02 40 c7")
  brokenBytes("RESPONSE with the status 600", "PROTOCOL_ERROR", "82 03 02 42 58")
  brokenBytes("an index beyond the head table", "HEAD_TABLE_ERROR", "81 05 03 01 01 2f b0")
  brokenBytes("a far index beyond the head table", "HEAD_TABLE_ERROR", "81 06 03 01 01 2f ff 3f")
  brokenBytes("a name index beyond the head table", "HEAD_TABLE_ERROR", "81 06 03 01 01 2f 30 00")
  brokenBytes("a far name index beyond the head table", "HEAD_TABLE_ERROR", "81 08 03 01 01 2f 3f 3f 01 78")

  // PROTOCOL.md MSG-6, ERR-3
  hostile("frames before a connection error take effect, later ones do not", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const good = peer.encode(request(1, "/ping"))
      const late = peer.encode(request(3, "/ping"))
      yield* peer.send(concat(good, hex("08 00"), late))
      const goAway = yield* peer.expectConnectionError("UNKNOWN_FRAME")
      assert.strictEqual(goAway.lastStreamId, 1)
      assert.isFalse(peer.log.some((event) => event._tag === "Frame" && JSON.stringify(event.frame).includes(":3,")))
    }))
})

describe("valid frames", () => {
  // PROTOCOL.md FRM-9
  hostile("extension frames are ignored, alone and beside frames of either kind", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendHex("42 03 61 62 63")
      yield* peer.sendHex("7f 00 40 00")
      yield* peer.send(concat(hex("42 00"), peer.encode(request(1, "/ping")), hex("43 01 00")))
      assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
      yield* peer.sendHex("42 00 10 01 61 43 01 00")
      yield* peer.expectFrame("Pong")
      yield* peer.send(concat(hex("42 80 00 80 00"), new Uint8Array(32768)))
      yield* peer.expectAlive(3)
    }))

  // PROTOCOL.md HB-1
  hostile("a PING of 0 and of 125 bytes is answered with the same data", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      for (const size of [0, 125]) {
        const payload = new Uint8Array(size).fill(7)
        yield* peer.sendFrames(ping(payload))
        assert.deepStrictEqual(Buffer.from((yield* peer.expectFrame("Pong")).data), Buffer.from(payload))
      }
    }))

  hostile("an ACK without a session, and a PONG that answers no PING, are ignored", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendHex("12 02 41 2c")
      yield* peer.sendHex("11 01 00 11 01 00")
      yield* peer.expectAlive(1)
    }))

  hostile("WebSocket pings are answered by WebSocket pongs", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      const pong = Effect.callback<Buffer>((resume) => {
        peer.ws.once("pong", (data: Buffer) => resume(Effect.succeed(data)))
        peer.ws.ping("abc")
      })
      assert.strictEqual((yield* pong).toString(), "abc")
    }))
})

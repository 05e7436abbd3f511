/**
 * PROTOCOL.md, "Flow control": peers that send more than they may, or allow more than there is.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { credit, data, request } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"

const upload = (streamId: number, target = "/never") => request(streamId, target, { method: "POST", end: false })
const maxCredit = 2147483647

describe("DATA beyond the credit", () => {
  // PROTOCOL.md FLOW-2
  hostile(
    "DATA beyond the credit of a stream is a stream error FLOW_CONTROL_ERROR, and the connection lives",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(upload(1), data(1, new Uint8Array(1000)))
        yield* peer.expectAlive()
        yield* peer.sendFrames(data(1, "x"))
        yield* peer.expectReset(1, "FLOW_CONTROL_ERROR")
        yield* peer.expectAlive(3)
      }),
    { limits: { streamWindow: 1000 } }
  )

  hostile(
    "DATA on a stream without credit is a stream error FLOW_CONTROL_ERROR; DATA without bytes needs no credit",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(upload(1, "/length"), data(1, ""), data(1, "", true))
        assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
        yield* peer.sendFrames(upload(3, "/length"), data(3, "x"))
        yield* peer.expectReset(3, "FLOW_CONTROL_ERROR")
        yield* peer.expectAlive(5)
      }),
    { limits: { streamWindow: 0 } }
  )

  // PROTOCOL.md FLOW-2
  hostile(
    "DATA beyond the credit of the connection, in one frame, is a connection error FLOW_CONTROL_ERROR",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(upload(1), data(1, new Uint8Array(65536)))
        yield* peer.expectConnectionError("FLOW_CONTROL_ERROR")
        yield* hub.expectEvent("ConnectionFailure")
      }),
    { limits: { maxFrameSize: 100000, maxMessageSize: 200000, connectionWindow: 65535 } }
  )

  hostile(
    "DATA beyond the credit of the connection, in many unread streams, is a connection error FLOW_CONTROL_ERROR",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        for (let id = 1; id <= 7; id += 2) yield* peer.sendFrames(upload(id), data(id, new Uint8Array(16384)))
        yield* peer.expectConnectionError("FLOW_CONTROL_ERROR")
      }),
    { limits: { connectionWindow: 65535, maxUnread: 0 } }
  )

  // PROTOCOL.md FLOW-3
  hostile(
    "DATA beyond the credit of the connection, on a stream that was reset, is a connection error FLOW_CONTROL_ERROR",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/ping"), data(1, new Uint8Array(65536)))
        yield* peer.expectConnectionError("FLOW_CONTROL_ERROR")
      }),
    { limits: { maxFrameSize: 100000, maxMessageSize: 200000, connectionWindow: 65535 } }
  )

  // PROTOCOL.md FLOW-5
  hostile("credit of the connection comes back for DATA that is discarded", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(request(1, "/never"), data(1, "after END"))
      yield* peer.expectReset(1, "STREAM_CLOSED")
      // Ten times the window, on a stream that is reset; as much as there is credit for.
      let allowed = 65535 - "after END".length
      for (let sent = 0; sent < 655350; sent += 16384) {
        while (allowed < 16384) {
          const frame = yield* peer.expectFrame("Credit")
          assert.strictEqual(frame.streamId, 0)
          allowed += frame.increment
        }
        yield* peer.sendFrames(data(1, new Uint8Array(16384)))
        allowed -= 16384
      }
      yield* peer.expectAlive(3)
    }), { limits: { connectionWindow: 65535, maxUnread: 0, maxConnectionWindow: 65535 } })
})

describe("CREDIT", () => {
  // PROTOCOL.md FLOW-4
  hostile(
    "CREDIT above 2^31-1 on a stream is a stream error FLOW_CONTROL_ERROR, and the connection lives",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(request(1, "/never"), credit(1, maxCredit - 262144))
        yield* peer.expectAlive()
        yield* peer.sendFrames(credit(1, 1))
        yield* peer.expectReset(1, "FLOW_CONTROL_ERROR")
        yield* peer.expectAlive(3)
      })
  )

  // PROTOCOL.md FLOW-4
  hostile(
    "CREDIT above 2^31-1 on the connection is a connection error FLOW_CONTROL_ERROR",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        yield* peer.sendFrames(credit(0, maxCredit - 1048576))
        yield* peer.expectAlive()
        yield* peer.sendFrames(credit(0, 1))
        yield* peer.expectConnectionError("FLOW_CONTROL_ERROR")
        yield* hub.expectEvent("ConnectionFailure")
      })
  )

  hostile("CREDIT of 0 on a stream that is open is a connection error PROTOCOL_ERROR", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.sendFrames(request(1, "/never"))
      yield* peer.sendHex("05 02 01 00")
      yield* peer.expectConnectionError("PROTOCOL_ERROR")
    }))
})

describe("DATA of the server", () => {
  // PROTOCOL.md FLOW-1
  hostile(
    "the server's DATA stay within the credit of the stream, and go on with more credit",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ settings: { streamWindow: 100 } })
        yield* peer.sendFrames(request(1, "/endless"))
        /** Takes DATA up to a sum. */
        const take = Effect.fnUntraced(function*(sum: number) {
          while (sum > 0) sum -= (yield* peer.expectFrame("Data", 1)).data.length
          assert.strictEqual(sum, 0)
        })
        const taken = () =>
          peer.log.reduce(
            (sum, event) =>
              event._tag === "Frame" && event.frame._tag === "Data" && event.frame.streamId === 1
                ? sum + event.frame.data.length
                : sum,
            0
          )
        yield* take(100)
        yield* peer.expectAlive(3)
        yield* peer.sendFrames(credit(1, 7))
        yield* take(7)
        yield* peer.expectAlive(5)
        assert.strictEqual(taken(), 107)
      })
  )

  hostile(
    "the server's DATA wait for ever for a peer that gives no credit, and other streams go on",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect({ settings: { streamWindow: 0 } })
        yield* peer.sendFrames(request(1, "/endless"), request(3, "/empty"), request(5, "/endless"))
        assert.strictEqual((yield* peer.expectResponse(3)).status, 204)
        yield* peer.expectAlive()
        const taken = peer.log.filter((event) => event._tag === "Frame" && event.frame._tag === "Data")
        assert.deepStrictEqual(taken, [])
      })
  )

  // PROTOCOL.md SET-1
  hostile("the server's DATA stay within the least maxFrameSize and maxMessageSize", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect({ settings: { maxFrameSize: 17408, maxMessageSize: 32768 } })
      let longest = 0
      peer.ws.on("message", (message: Buffer) => {
        longest = Math.max(longest, message.length)
      })
      yield* peer.sendFrames(request(1, "/endless"))
      for (let count = 0; count < 10; count++) {
        assert.isAtMost((yield* peer.expectFrame("Data", 1)).data.length, 17408 - 1)
      }
      assert.isAtMost(longest, 32768)
      assert.isAtLeast(longest, 16384)
    }))
})

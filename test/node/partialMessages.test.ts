/**
 * WebSocket messages that are not complete: what they may hold, and for how long.
 */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Net from "node:net"
import { hostile } from "../support/hubUnderAttack.ts"
import { collectGarbage } from "../support/measurements.ts"
import type { RawPeer } from "../support/rawPeer.ts"

const mebibyte = 1024 * 1024

/** A frame of a client, with a mask that changes nothing. */
const frame = (first: number, payload: Uint8Array): Buffer =>
  payload.length < 126
    ? Buffer.concat([Buffer.of(first, 0x80 | payload.length, 0, 0, 0, 0), payload])
    : Buffer.concat([Buffer.of(first, 0xfe, payload.length >> 8, payload.length & 0xff, 0, 0, 0, 0), payload])

const fin = 0x80
const text = 1
const binary = 2
/** Pings and pongs may come between the fragments of a message; too many pings are no good filler, because `ws` drops the link. */
const ping = frame(fin | 9, new Uint8Array(125))
const pong = frame(fin | 10, new Uint8Array(125))

const tcpOf = (peer: RawPeer): Net.Socket => Reflect.get(peer.ws, "_socket") as Net.Socket

const write = (peer: RawPeer, ...chunks: ReadonlyArray<Buffer>): Effect.Effect<void> =>
  Effect.callback((resume) => {
    tcpOf(peer).write(Buffer.concat(chunks), () => resume(Effect.void))
  })

describe("messages before the end of the handshake", () => {
  const refused = (title: string, send: (peer: RawPeer) => Effect.Effect<unknown>) =>
    hostile(`${title} is refused with HANDSHAKE_INVALID and 4100`, (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.dial()
        yield* Effect.forkScoped(send(peer))
        const refuse = yield* peer.expectText("refuse")
        assert.strictEqual(refuse.code, "HANDSHAKE_INVALID")
        assert.isFalse(refuse.retry)
        yield* peer.expectClose(4100)
        yield* hub.expectEvent("ConnectionAttemptFailed")
      }))

  refused("a hello of 16 MiB in one frame", (peer) => peer.send("x".repeat(16 * mebibyte)))
  refused("a hello of 16 MiB in fragments of 16 KiB", (peer) =>
    Effect.forEach(
      Array.from({ length: 1024 }, (_, index) => index),
      (index) => write(peer, frame(index === 0 ? text : 0, new Uint8Array(16_384).fill(0x20))),
      { discard: true }
    ))
  refused("a hello in fragments with pongs in between", (peer) =>
    Effect.forEach(
      Array.from({ length: 1024 }, (_, index) => index),
      (index) =>
        write(peer, frame(index === 0 ? text : 0, Buffer.from("x")), ...Array.from({ length: 100 }, () => pong)),
      { discard: true }
    ))
})

describe("fragments", () => {
  hostile("120 fragments of one byte, each in 64 KiB of pongs, hold less than 1 MiB", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* peer.expectAlive()
      yield* collectGarbage
      const before = process.memoryUsage().arrayBuffers
      for (let index = 0; index < 120; index++) {
        const fragment = frame(index === 0 ? binary : 0, Buffer.of(0x10))
        yield* write(peer, fragment, ...Array.from({ length: 480 }, () => pong), ping)
        yield* Effect.callback<void>((resume) => {
          peer.ws.once("pong", () => resume(Effect.void))
        })
      }
      yield* collectGarbage
      assert.isBelow(process.memoryUsage().arrayBuffers - before, mebibyte)
    }))

  hostile("a message of 1,000 fragments closes the link", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      yield* write(
        peer,
        ...Array.from({ length: 1000 }, (_, index) => frame(index === 0 ? binary : 0, Buffer.of(0x10)))
      )
      yield* peer.expectClose(1008)
      yield* hub.expectEvent("ConnectionFailure")
    }))

  hostile("a message of 64 fragments in order is read", (hub) =>
    Effect.gen(function*() {
      const peer = yield* hub.connect()
      // PING with 62 bytes.
      const message = Buffer.concat([Buffer.of(0x10, 62), Buffer.alloc(62, 7)])
      for (let index = 0; index < 64; index++) {
        const last = index === 63 ? fin : 0
        yield* write(peer, frame(last | (index === 0 ? binary : 0), message.subarray(index, index + 1)))
      }
      const pong = yield* peer.expectFrame("Pong")
      assert.deepStrictEqual(Buffer.from(pong.data), message.subarray(2))
    }))
})

describe("incomplete message", () => {
  const limits = { messageTimeout: "300 millis" } as const

  hostile(
    "a message that is not completed drops the link after the time limit, even when pings arrive in between",
    (hub) =>
      Effect.gen(function*() {
        for (
          const begun of [
            frame(binary, Buffer.of(0x10)),
            Buffer.of(0x82),
            frame(0x82, new Uint8Array(200)).subarray(0, 100)
          ]
        ) {
          const peer = yield* hub.connect()
          yield* write(peer, begun)
          const pinging = setInterval(() => {
            // Within a frame they would be its bytes.
            if (begun[0] === binary) tcpOf(peer).write(ping)
          }, 20)
          yield* peer.expectClose(1006)
          clearInterval(pinging)
          const { error } = yield* hub.expectEvent("ConnectionFailure")
          assert.include(error.message, "did not arrive within 300 ms")
        }
      }),
    { limits }
  )

  hostile(
    "a link on which message after message arrives in parts is not dropped",
    (hub) =>
      Effect.gen(function*() {
        const peer = yield* hub.connect()
        const message = frame(fin | binary, Buffer.of(0x10, 0x00))
        // Each read ends within a message.
        yield* write(peer, message.subarray(0, 3))
        for (let n = 0; n < 30; n++) {
          yield* Effect.sleep("40 millis")
          yield* write(peer, message.subarray(3), message.subarray(0, 3))
        }
        yield* write(peer, message.subarray(3))
        for (let n = 0; n < 31; n++) yield* peer.expectFrame("Pong")
      }),
    { limits }
  )
})

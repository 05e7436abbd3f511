/**
 * Links over a `MessagePort` (PROTOCOL.md, "Message ports") with a peer that is in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Link from "effect-swaggersocket/Link"
import * as Effect from "effect/Effect"
import { turn, until } from "../support/waiting.ts"

const make = Effect.gen(function*() {
  const { port1, port2 } = new MessageChannel()
  const link = yield* Link.fromMessagePort(port1)
  const values: Array<unknown> = []
  port2.onmessage = ({ data }) => void values.push(data)
  yield* Effect.addFinalizer(() => Effect.sync(() => port2.close()))
  return { link, peer: port2, values }
})

const some = (length: number) => ({ length })

describe("links over a MessagePort", () => {
  it.live("send values that PROTOCOL.md names, and their own bytes alone", () =>
    Effect.gen(function*() {
      const { link, peer, values } = yield* make
      link.send("hi")
      link.send(new Uint8Array(100).fill(7).subarray(10, 12))
      link.close(4000, "why")
      yield* until("it arrives", () => values.length === 3)
      assert.deepStrictEqual(values, ["hi", new Uint8Array([7, 7]).buffer, [4000, "why"]])
      peer.postMessage([4000, ""])
      assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code: 4000 })
    }))

  // PROTOCOL.md LNK-6, LNK-7
  it.live("tell the peer what was read, after 32 KiB of it, and are full with 128 KiB that it has not read", () =>
    Effect.gen(function*() {
      const { link, peer, values } = yield* make
      for (let sent = 0; sent < 10; sent++) peer.postMessage(new ArrayBuffer(4096))
      let read = 0
      while (read < 10) read += (yield* link.pull).length
      yield* until("it is told", () => values.length > 0)
      assert.isAtLeast(Number(values[0]), 32_768)
      assert.strictEqual(Number(values[0]) % (4096 + 64), 0)

      let sent = 0
      while (!link.isFull()) {
        link.send(new Uint8Array(4096))
        sent++
      }
      assert.strictEqual(sent, Math.floor(131_072 / (4096 + 64)) + 1)
      let hasRoom = false
      link.onRoom(() => {
        hasRoom = true
      })
      yield* turn
      assert.isFalse(hasRoom)
      peer.postMessage(4096 + 64)
      yield* until("there is room", () => hasRoom)
      assert.isFalse(link.isFull())
    }))

  const faults: ReadonlyArray<readonly [string, unknown, number]> = [
    ["a value that is no message", { a: 1 }, 1002],
    ["memory that the peer may change", new SharedArrayBuffer(8), 1002],
    ["bytes of another kind", new Uint8Array(8), 1002],
    ["credit for what was not sent", 1, 1002],
    ["credit that is no number", Number.NaN, 1002],
    ["a close with a code that there is not", [999, ""], 1002],
    ["a close with a reason that is too long", [1000, "x".repeat(124)], 1002],
    ["a message above the limit", "x".repeat(65_537), 1009]
  ]
  for (const [what, value, code] of faults) {
    // PROTOCOL.md LNK-8
    it.live(`close with ${code} for ${what}, behind the messages before it`, () =>
      Effect.gen(function*() {
        const { link, peer, values } = yield* make
        peer.postMessage("hi")
        peer.postMessage(value)
        assert.deepStrictEqual(yield* link.pull, ["hi"])
        assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code })
        yield* until("the peer is told", () => values.length === 1)
        assert.strictEqual((values[0] as ReadonlyArray<unknown>)[0], code)
      }))
  }

  // PROTOCOL.md LNK-8
  it.live("close with 1008 when a peer sends more than is read", () =>
    Effect.gen(function*() {
      const { link, peer, values } = yield* make
      for (const _ of Array.from(some(2000))) peer.postMessage(new ArrayBuffer(1024))
      yield* until("the peer is told", () => values.length === 1)
      assert.strictEqual((values[0] as ReadonlyArray<unknown>)[0], 1008)
      let kept = 0
      const end = yield* Effect.flip(Effect.forever(Effect.map(link.pull, (batch) => {
        kept += batch.length
      })))
      assert.deepInclude(end.reason, { _tag: "SocketCloseError", code: 1008 })
      assert.isBelow(kept * 1024, 1_200_000)
    }))

  it.live("are lost when the other end of the port closes", () =>
    Effect.gen(function*() {
      const { link, peer } = yield* make
      peer.postMessage("hi")
      peer.close()
      assert.deepStrictEqual(yield* link.pull, ["hi"])
      assert.deepInclude((yield* Effect.flip(link.pull)).reason, { _tag: "SocketCloseError", code: 1006 })
    }))
})

/**
 * Links in memory: what becomes of what was sent when they end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Link } from "../../src/internal/link/link.ts"
import { makePair } from "../../src/internal/link/memoryLink.ts"

const endOf = (link: Link) => Effect.map(Effect.flip(link.pull), ({ reason }) => reason)

describe("a link in memory", () => {
  it.effect("is full above 128 KiB that were not read, and tells once when they were", () =>
    Effect.gen(function*() {
      const [near, far] = makePair()
      near.send(new Uint8Array(128 * 1024))
      assert.isFalse(near.isFull())
      near.send("a")
      assert.isTrue(near.isFull())
      assert.isFalse(far.isFull())
      assert.isFalse(near.isEmpty())
      let told = 0
      near.onRoom(() => told++)
      assert.strictEqual(near.taken(), 0)
      assert.strictEqual((yield* far.pull).length, 2)
      assert.strictEqual(near.taken(), 128 * 1024 + 1)
      assert.isFalse(near.isFull())
      yield* Effect.yieldNow
      near.send("b")
      yield* far.pull
      yield* Effect.yieldNow
      assert.strictEqual(told, 1)
      assert.strictEqual(near.taken(), 128 * 1024 + 2)
    }))

  it.effect("gives what was sent before it was closed, at both ends, and nothing that is sent then", () =>
    Effect.gen(function*() {
      const [near, far] = makePair()
      near.send("a")
      far.send("b")
      near.close(4000, "why")
      far.close(4001, "another")
      assert.strictEqual(near.send("c")?.reason._tag, "SocketWriteError")
      assert.isTrue(near.isFull() && far.isFull())
      for (const [link, message] of [[far, "a"], [near, "b"]] as const) {
        assert.deepStrictEqual(yield* link.pull, [message])
        assert.deepInclude(yield* endOf(link), { _tag: "SocketCloseError", code: 4000, closeReason: "why" })
      }
    }))

  it.effect("gives what was sent before an end gave it up, and nothing when the network has cut it", () =>
    Effect.gen(function*() {
      for (const give of [(link: Link) => link.terminate(), (link: Link) => link.hangUp()]) {
        const [near, far] = makePair()
        near.send("a")
        give(near)
        assert.deepStrictEqual(yield* far.pull, ["a"])
        assert.deepInclude(yield* endOf(far), { code: 1006 })
        assert.deepInclude(yield* endOf(near), { code: 1006 })
      }
      const [near, far, cut] = makePair()
      near.send("a")
      far.send("b")
      cut()
      assert.deepInclude(yield* endOf(far), { code: 1006 })
      assert.deepInclude(yield* endOf(near), { code: 1006 })
    }))

  it.effect("wakes who reads when a message comes, and when it ends", () =>
    Effect.gen(function*() {
      const [near, far] = makePair()
      const reader = yield* Effect.forkChild(far.pull)
      yield* Effect.yieldNow
      near.send("a")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a"])
      const last = yield* Effect.forkChild(endOf(far))
      yield* Effect.yieldNow
      near.close(1000, "")
      assert.deepInclude(yield* Fiber.join(last), { code: 1000 })
    }))
})

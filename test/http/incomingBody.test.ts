/**
 * Bodies as they arrive: what chunks that wait or are kept hold in memory, and when readers are woken.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { BodyTooLarge, IncomingBody } from "../../src/internal/http/incomingBody.ts"
import { Parts } from "../../src/internal/http/parts.ts"
import { bytes, Joined } from "../streams/joined.ts"

const bodyOf = (declared?: number, handled = false) => {
  const { client, call } = (() => {
    const joined = new Joined()
    return { client: joined.client, call: joined.call() }
  })()
  if (handled) call.stream.handled = true
  return new IncomingBody(client.mux, call.stream, declared, false)
}

/** A part of a message of 64 KiB, as the decoder gives it; `ws` gives messages as Buffers. */
const part = (size: number, fill: number, isNode = false): Uint8Array => {
  const message = new Uint8Array(Math.max(65536, size + 100)).fill(fill)
  return (isNode ? Buffer.from(message.buffer) : message).subarray(100, 100 + size)
}

describe("IncomingBody", () => {
  it.effect("chunks that wait to be read pin no more than four times their bytes, however small they are", () =>
    Effect.gen(function*() {
      const body = bodyOf()
      let sent = 0
      for (let i = 0; i < 5000; i++) {
        const size = [1, 3, 700, 2000][i % 4]!
        sent += size
        assert.isUndefined(body.push(part(size, i % 256), false))
      }
      const chunks = yield* body.pull
      const buffers = new Set(chunks.map((chunk) => chunk.buffer))
      const pinned = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0)
      assert.isAtMost(pinned, sent * 4)
      assert.isBelow(chunks.length, 5000)
      assert.strictEqual(chunks.reduce((sum, chunk) => sum + chunk.length, 0), sent)
    }))

  for (const isNode of [false, true]) {
    it.effect(`chunks that a reader keeps do not pin the ${isNode ? "Buffers" : "messages"} that they came in`, () =>
      Effect.gen(function*() {
        const body = bodyOf()
        const reading = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 200 }), () => body.pull),
          { startImmediately: true }
        )
        for (let i = 0; i < 200; i++) {
          assert.isUndefined(body.push(part(1 + i * 50, 1, isNode), false))
          // Its reader is woken at the end of the turn.
          yield* Effect.promise(() => Promise.resolve())
        }
        const chunks = (yield* Fiber.join(reading)).flat()
        assert.isAtMost(chunks.reduce((sum, chunk) => sum + chunk.buffer.byteLength, 0), 4 * 200 * 101 * 50)
      }))
  }

  for (const [title, sizes] of [["a body", [3]], ["the last chunk of a body", [20_000, 3]]] as const) {
    it.effect(`${title} that a handler has not asked for does not pin the message that it came in`, () =>
      Effect.gen(function*() {
        const body = bodyOf(undefined, true)
        for (const [index, size] of sizes.entries()) body.push(part(size, 1), index === sizes.length - 1)
        const buffers = new Set((yield* body.pull).map(({ buffer }) => buffer))
        assert.isAtMost(
          [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0),
          sizes.length * 66_000 - 60_000
        )
      }))
  }

  it.effect("a reader that waits is woken once for all parts that a turn brings, and at once for the end", () =>
    Effect.gen(function*() {
      const body = bodyOf()
      const taken: Array<number> = []
      const reading = yield* Effect.forkChild(
        Effect.forever(
          Effect.tap(body.pull, (chunks) =>
            Effect.sync(() => {
              taken.push(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
            })),
          { disableYield: true }
        ),
        { startImmediately: true }
      )
      for (let i = 0; i < 100; i++) assert.isUndefined(body.push(part(1, 1), false))
      assert.deepStrictEqual(taken, [])
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(taken, [100])
      assert.isUndefined(body.push(part(2, 1), false))
      assert.isUndefined(body.push(part(3, 1), true))
      assert.deepStrictEqual(taken, [100, 5])
      yield* Effect.exit(Fiber.join(reading))
    }))

  const arrivals: Readonly<Record<string, ReadonlyArray<number>>> = {
    "alone": [1],
    "between large chunks": [1, 600, 1, 20_000],
    "in all sizes": [3, 700, 1, 511, 512, 5000, 2, 70_000]
  }
  for (const [title, sizes] of Object.entries(arrivals)) {
    for (const own of [true, false]) {
      it(`parts that came ${title}, ${own ? "each with memory of its own" : "as views of messages"}, cost what they hold`, () => {
        const parts = new Parts()
        let sent = 0
        for (let i = 0; i < 20_000; i++) {
          const size = sizes[i % sizes.length]!
          sent += size
          parts.add(own ? new Uint8Array(size) : part(size, i % 256), false)
          // The rest is like the beginning.
          if (sent > 8 * 1024 * 1024) break
        }
        const list = parts.take()
        assert.strictEqual(list.reduce((sum, each) => sum + each.length, 0), sent)
        const held = [...new Set(list.map(({ buffer }) => buffer))].reduce((sum, buffer) => sum + buffer.byteLength, 0)
        // Some 500 bytes for each object that is no more.
        assert.isAtMost(held + list.length * 500, 4 * sent + 64 * 1024)
      })
    }
  }

  it.effect("bytes keep their order when small chunks are copied together", () =>
    Effect.gen(function*() {
      const body = bodyOf()
      const expected: Array<number> = []
      for (let i = 0; i < 3000; i++) {
        const size = 1 + (i * 7) % 400
        for (let n = 0; n < size; n++) expected.push(i % 256)
        body.push(i % 5 === 0 ? bytes(size, i % 256) : part(size, i % 256), i === 2999)
      }
      assert.deepStrictEqual([...yield* body.collect(undefined)], expected)
    }))

  it("a body that is longer, or shorter at its end, than its content-length is malformed", () => {
    assert.isDefined(bodyOf(5).push(bytes(6), false))
    assert.isDefined(bodyOf(5).push(bytes(4), true))
    assert.isUndefined(bodyOf(5).push(bytes(5), true))
  })

  it.effect("a reader's size limit fails the reading", () =>
    Effect.gen(function*() {
      const body = bodyOf()
      body.push(bytes(101), false)
      const exit = yield* Effect.exit(body.collect(100))
      assert.isTrue(
        Exit.isFailure(exit) &&
          exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof BodyTooLarge)
      )
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { BodyTooLarge, IncomingBody } from "../../src/internal/http/incomingBody.ts"
import { bytes, Joined } from "../streams/joined.ts"

const bodyOf = (declared?: number) => {
  const { client, call } = (() => {
    const joined = new Joined()
    return { client: joined.client, call: joined.call() }
  })()
  return new IncomingBody(client.mux, call.stream, declared, false)
}

/** A part of a message of 64 KiB, as the decoder gives it. */
const part = (size: number, fill: number): Uint8Array => new Uint8Array(65536).fill(fill).subarray(100, 100 + size)

describe("IncomingBody", () => {
  it.effect("chunks that wait pin no more than four times their bytes, however small they are", () =>
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

  it.effect("keeps the order of bytes when small chunks are copied together", () =>
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

  it("a body that is longer, or shorter at its end, than content-length says is malformed", () => {
    assert.isDefined(bodyOf(5).push(bytes(6), false))
    assert.isDefined(bodyOf(5).push(bytes(4), true))
    assert.isUndefined(bodyOf(5).push(bytes(5), true))
  })

  it.effect("a reader's limit ends the reading, not the memory", () =>
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

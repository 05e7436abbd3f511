/**
 * What waits in a stream to be sent.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Fields } from "../../src/internal/frame/Frame.ts"
import { requested } from "../../src/internal/streams/state.ts"
import { ignoring, MuxStream } from "../../src/internal/streams/stream.ts"

const make = (fields: Fields = []) =>
  new MuxStream({
    id: 1,
    handler: ignoring,
    state: requested,
    fields,
    request: undefined,
    credit: 0,
    window: 0
  })

/** Takes bytes out, each part as it is given. */
const take = (stream: MuxStream, size: number): Array<Uint8Array> => stream.take(size).map((part) => part.slice())

describe("chunks that wait", () => {
  it("chunks of a byte are copied together, because each would cost hundreds of bytes", () => {
    const stream = make()
    for (let at = 0; at < 65_536; at++) stream.push(Uint8Array.of(at))
    const parts = take(stream, 65_536)
    assert.isBelow(parts.length, 20)
    assert.isTrue(parts.flatMap((part) => [...part]).every((byte, index) => byte === (index & 255)))
  })

  it("large chunks, and a lone chunk, are not copied", () => {
    const stream = make()
    for (const size of [1, 1000, 100_000]) {
      const chunk = new Uint8Array(size)
      stream.push(chunk)
      assert.deepStrictEqual(stream.take(size).map((part) => part === chunk), [true])
    }
  })

  it("chunks come out in order, however they are cut", () => {
    const stream = make()
    const expected: Array<number> = []
    const actual: Array<number> = []
    let next = 0
    let state = 12345
    const random = (below: number) => (state = (state * 1103515245 + 12345) % 2147483648) % below
    for (let step = 0; step < 20_000; step++) {
      if (random(2) === 0) {
        const chunk = Uint8Array.from({ length: random(10) === 0 ? random(3000) : 1 + random(40) }, () => next++)
        if (chunk.length === 0) continue
        expected.push(...chunk)
        stream.push(chunk)
      } else if (stream.buffered > 0) {
        const size = 1 + random(stream.buffered)
        for (const part of take(stream, size)) actual.push(...part)
      }
      assert.strictEqual(expected.length - actual.length, stream.buffered)
    }
    for (const part of take(stream, stream.buffered)) actual.push(...part)
    assert.deepStrictEqual(actual, expected)
  })
})

describe("urgency of a stream", () => {
  it("the urgency is the member u of the first priority field that has one, and 3 without", () => {
    const urgency = (...values: ReadonlyArray<string>) =>
      make(values.map((value): readonly [string, string] => ["priority", value])).urgency
    for (const value of ["u=5", "i, u=5", "i,u=5", "u=5;x", "u=5,i", "u=5 , i"]) assert.strictEqual(urgency(value), 5)
    for (const value of ["", "i", "u", "u=8", "u=55", "xu=5", "u=-5", "u=5x", "U=5"]) {
      assert.strictEqual(urgency(value), 3, value)
    }
    assert.deepStrictEqual([urgency("u=0"), urgency("u=7"), urgency("i", "u=1", "u=2")], [0, 7, 1])
    assert.strictEqual(make([["x-priority", "u=5"]]).urgency, 3)
  })
})

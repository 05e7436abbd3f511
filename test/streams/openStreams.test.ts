/**
 * The table of open streams, against a `Map`.
 */
import { assert, describe, it } from "@effect/vitest"
import { OpenStreams } from "../../src/internal/streams/openStreams.ts"
import { accepted } from "../../src/internal/streams/state.ts"
import { ignoring, MuxStream } from "../../src/internal/streams/stream.ts"
import { Random } from "../support/random.ts"

const streamOf = (id: number) =>
  new MuxStream({
    id,
    handler: ignoring,
    state: accepted,
    fields: [],
    request: undefined,
    credit: 0,
    window: 0
  })

describe("OpenStreams", () => {
  it("a stream table holds the streams that a Map would hold, in the order of their ids", () => {
    const seed = Number(process.env.FUZZ_SEED ?? 20261122)
    const random = new Random(seed)
    const table = new OpenStreams("server", random.int(2 ** 32))
    const map = new Map<number, MuxStream>()
    let next = 1
    for (let i = 0; i < 50_000; i++) {
      // By turns a few and a few hundred are open.
      const most = Math.floor(i / 5000) % 2 === 0 ? 4 : 400
      if (map.size < most && random.int(2) === 0) {
        next += 1 + random.int(3)
        const stream = streamOf(next)
        table.add(stream)
        map.set(next, stream)
      } else if (map.size > 0) {
        const ids = [...map.keys()]
        const id = ids[random.int(ids.length)]!
        const stream = map.get(id)!
        map.delete(id)
        assert.isTrue(table.delete(stream))
        assert.isFalse(table.delete(stream), "it is gone")
      }
      const asked = random.int(next + 10)
      assert.strictEqual(table.get(asked), map.get(asked), `seed ${seed}, step ${i}`)
      assert.strictEqual(table.size, map.size)
    }
    assert.deepStrictEqual(table.toArray().map(({ id }) => id), [...map.keys()])
  })

  it("a peer can't choose ids that share a slot", () => {
    // In one slot, these would be 10,000 steps for each frame of theirs.
    for (const step of [2, 2 ** 16, 2 ** 20, 2 ** 32]) {
      const table = new OpenStreams("server", 0x5bd1e995)
      const streams = Array.from({ length: 10_000 }, (_, i) => streamOf(1 + i * step))
      for (const stream of streams) table.add(stream)
      const longest = Math.max(...streams.map((stream) => {
        let length = 0
        for (let next: MuxStream | undefined = stream; next !== undefined; next = next.next) length++
        return length
      }))
      assert.isBelow(longest, 40, `ids ${step} apart`)
    }
  })

  it("a stream table finds ids beyond 32 bits", () => {
    const table = new OpenStreams("server", 1)
    const streams = [1, 2 ** 32 + 1, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER].map(streamOf)
    for (const stream of streams) table.add(stream)
    for (const stream of streams) assert.strictEqual(table.get(stream.id), stream)
    assert.isUndefined(table.get(2 ** 33 + 1))
  })
})

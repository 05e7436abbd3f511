/**
 * The table of open streams, against a `Map`.
 */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
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

  it("a stream table gives its streams in the order of their ids, wherever they are in it", () => {
    const table = new OpenStreams("server", 0x5bd1e995)
    const ids = Array.from({ length: 100 }, (_, i) => 2 * i + 1)
    for (const id of ids) table.add(streamOf(id))
    assert.deepStrictEqual(table.toArray().map(({ id }) => id), ids)
  })
})

describe("ids of streams", () => {
  it("an id is idle until it was given out, or one of the peer's was accepted that is as high", () => {
    const client = new OpenStreams("client", 1)
    client.open(streamOf(0))
    assert.deepStrictEqual([1, 3, 5].map((id) => client.isIdle(id)), [false, true, true])
    assert.isUndefined(client.accept(4))
    assert.deepStrictEqual([2, 4, 6, 8].map((id) => client.isIdle(id)), [false, false, true, true])
    assert.deepStrictEqual([1, 2, 3, 4].map((id) => client.isLocal(id)), [true, false, true, false])
    assert.deepStrictEqual([1, 2].map((id) => new OpenStreams("server", 1).isLocal(id)), [false, true])
  })

  it("an id of the peer must be of its parity and above all before", () => {
    const client = new OpenStreams("client", 1)
    assert.isUndefined(client.accept(4))
    for (const id of [3, 4, 2]) assert.strictEqual(client.accept(id)?.code, ErrorCode.STREAM_ID_ERROR)
    assert.strictEqual(client.lastRemote, 4)
  })

  it("ids of requests that come after GOAWAY do not count, and none of them is idle", () => {
    const client = new OpenStreams("client", 1)
    assert.isUndefined(client.accept(2))
    client.isSealed = true
    assert.isUndefined(client.accept(4))
    assert.strictEqual(client.lastRemote, 2)
    assert.deepStrictEqual([2, 4, 100].map((id) => client.isIdle(id)), [false, false, false])
    assert.isTrue(client.isIdle(1), "those of this end are as before")
  })

  it("the last 1,024 streams that this end has reset are remembered", () => {
    const client = new OpenStreams("client", 1)
    assert.isFalse(client.mayBeLate(1))
    for (let id = 1; id <= 1024; id++) client.remember(id)
    assert.deepStrictEqual([1, 2, 1024, 1025].map((id) => client.mayBeLate(id)), [true, true, true, false])
    client.remember(1025)
    assert.deepStrictEqual([1, 2, 1024, 1025].map((id) => client.mayBeLate(id)), [false, true, true, true])
  })
})

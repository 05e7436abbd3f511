/**
 * The order in which things are given up: one after the other, of whoever holds the most each time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Eviction, type Holding } from "../../src/internal/quota/eviction.ts"

const evict = (holdings: ReadonlyArray<Holding<string>>, count: number) => {
  const eviction = new Eviction(holdings)
  return Array.from({ length: count }, () => [eviction.most, eviction.next()] as const)
}

describe("eviction", () => {
  it("the largest thing of whoever holds the most comes first, and then whoever holds the most by then", () => {
    const holdings = [
      { payer: "ada", bytes: 5, held: "ada 5" },
      { payer: "eve", bytes: 3, held: "eve 3" },
      { payer: "eve", bytes: 4, held: "eve 4" },
      { payer: "bob", bytes: 4, held: "bob 4" }
    ]
    assert.deepStrictEqual(evict(holdings, 5), [
      [7, "eve 4"],
      [5, "ada 5"],
      [4, "bob 4"],
      [3, "eve 3"],
      [0, undefined]
    ])
  })

  it("of equal things and holders the first comes first", () => {
    const holdings = ["a", "b"].flatMap((payer) => [1, 2].map((n) => ({ payer, bytes: 1, held: `${payer}${n}` })))
    assert.deepStrictEqual(evict(holdings, 4).map(([, held]) => held), ["a1", "b1", "b2", "a2"])
  })

  it("the order is that of a search through all of them each time", () => {
    const holdings = Array.from({ length: 200 }, (_, n) => ({
      payer: n % 7,
      bytes: (n * 7919) % 1009,
      held: String(n)
    }))
    const left = new Set(holdings)
    const eviction = new Eviction(holdings)
    for (let n = 0; n < holdings.length; n++) {
      const sums = new Map<number, number>()
      for (const { bytes, payer } of left) sums.set(payer, (sums.get(payer) ?? 0) + bytes)
      const most = Math.max(...sums.values())
      assert.strictEqual(eviction.most, most)
      const held = eviction.next()
      const given = [...left].find((holding) => holding.held === held)!
      assert.strictEqual(sums.get(given.payer), most)
      const own = [...left].filter(({ payer }) => payer === given.payer)
      assert.strictEqual(given.bytes, Math.max(...own.map(({ bytes }) => bytes)))
      left.delete(given)
    }
  })
})

/**
 * Whoever has the most, while amounts change.
 */
import { assert, it } from "@effect/vitest"
import { Largest } from "../../src/internal/quota/largest.ts"
import { Random } from "../support/random.ts"

it("it is one that has the most, however amounts change, and nothing piles up", () => {
  const random = new Random(7)
  const items = new Map(Array.from({ length: 50 }, (_, n) => [n, { amount: 0 }] as [number, { amount: number }]))
  let asked = 0
  const largest = new Largest(items, ({ amount }) => {
    asked++
    return amount
  })
  assert.isUndefined(largest.get())
  for (let step = 0; step < 20_000; step++) {
    const item = items.get(random.int(items.size))!
    item.amount = random.chance(0.2) ? 0 : random.int(20)
    largest.changed(item)
    const most = Math.max(...Array.from(items.values(), ({ amount }) => amount))
    if (random.chance(0.1)) assert.strictEqual(largest.get()?.amount, most === 0 ? undefined : most)
  }
  for (const item of items.values()) {
    item.amount = 0
    largest.changed(item)
  }
  asked = 0
  assert.isUndefined(largest.get())
  assert.isBelow(asked, 1200)
})

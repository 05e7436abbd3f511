/**
 * Masks of WebSocket frames.
 */
import { assert, describe, it } from "@effect/vitest"
import { mask } from "../../src/internal/link/mask.ts"
import { Random } from "../support/random.ts"

const masked = (bytes: Uint8Array, key: Uint8Array, phase: number) =>
  bytes.map((byte, at) => byte ^ key[(phase + at) & 3]!)

describe("mask", () => {
  it("each byte is combined with that of the key, wherever the bytes are and whatever came before; no other byte changes", () => {
    const random = new Random(1)
    const bytes = new Uint8Array(4096).map(() => random.int(256))
    for (let round = 0; round < 4000; round++) {
      const key = new Uint8Array(4).map(() => random.int(256))
      const from = random.int(64)
      const to = from + random.int(random.chance(0.5) ? 200 : bytes.length - 64)
      const phase = random.int(70_000)
      const all = new Uint8Array(bytes)
      mask(all.subarray(from, to), key, phase)
      const expected = new Uint8Array(bytes)
      expected.set(masked(bytes.subarray(from, to), key, phase), from)
      assert.strictEqual(Buffer.compare(all, expected), 0, `${from} to ${to}, phase ${phase}`)
    }
  })
})

/**
 * Masks of WebSocket frames.
 */
import { assert, describe, it } from "@effect/vitest"
import { message } from "../../src/internal/http/webSocketFrames.ts"
import { FrameReader, type Received } from "../../src/internal/http/webSocketReader.ts"
import { FrameMasker } from "../../src/node/frameMasker.ts"
import { Random } from "../support/random.ts"

const concat = (parts: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(parts))

/** What a reader makes of bytes. */
const read = (bytes: Uint8Array): ReadonlyArray<Received> => {
  const received: Array<Received> = []
  const reader = new FrameReader(1 << 24)
  for (let at = 0; at < bytes.length;) at = reader.read(bytes, at, (one) => received.push(one))
  assert.isUndefined(reader.fault)
  return received
}

describe("FrameMasker", () => {
  it("frames of all sizes are masked, wherever their bytes are cut", () => {
    const random = new Random(1)
    const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
    const frames = concat(sizes.flatMap((size) => message(new Uint8Array(size).map((_, at) => at))))
    for (let round = 0; round < 50; round++) {
      const masker = new FrameMasker()
      const parts: Array<Uint8Array> = []
      for (let at = 0; at < frames.length;) {
        const size = 1 + random.int(random.chance(0.5) ? 4 : 100_000)
        parts.push(masker.mask(frames.subarray(at, at + size)))
        at += size
      }
      const masked = concat(parts)
      assert.strictEqual(masked.length, frames.length + sizes.length * 4)
      assert.strictEqual(masked[1], 0x80)
      assert.deepStrictEqual(read(masked), read(frames))
    }
  })

  it("each frame has a key of its own", () => {
    const masker = new FrameMasker()
    const keys = new Set<string>()
    for (let count = 0; count < 1000; count++) {
      keys.add(Buffer.from(masker.mask(concat(message(new Uint8Array(0)))).subarray(2)).toString("hex"))
    }
    assert.isAbove(keys.size, 990)
  })

  it("frames that are masked already are left as they are", () => {
    const once = new FrameMasker().mask(concat([...message("hello"), ...message(new Uint8Array(70_000).fill(7))]))
    assert.deepStrictEqual(new FrameMasker().mask(once), once)
  })
})

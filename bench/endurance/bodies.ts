/**
 * Bodies that are streamed, and whether what arrives is what was sent. All are cut from one pattern, so that they cost
 * little.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** A prime, so that a piece that is missing or comes twice moves the rest. */
const length = 65_521
const chunkSize = 16 * 1024

const pattern = Buffer.alloc(length + chunkSize)
for (let index = 0, state = 1; index < length; index++) {
  state = Math.imul(state, 1_103_515_245) + 12_345 | 0
  pattern[index] = state >>> 16
}
pattern.copy(pattern, length, 0, chunkSize)

export const body = (size: number): Stream.Stream<Uint8Array> =>
  Stream.map(Stream.range(0, Math.ceil(size / chunkSize) - 1), (index) => {
    const start = index * chunkSize
    return pattern.subarray(start % length, start % length + Math.min(chunkSize, size - start))
  })

/** The length of what has arrived, or -1 if it is not the pattern. */
export const check = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    let size = 0
    let isRight = true
    return Effect.map(
      Stream.runForEach(stream, (chunk) =>
        Effect.sync(() => {
          for (let at = 0; at < chunk.length;) {
            const start = size % length
            const part = chunk.subarray(at, at + Math.min(chunk.length - at, pattern.length - start))
            if (pattern.compare(part, 0, part.length, start, start + part.length) !== 0) isRight = false
            at += part.length
            size += part.length
          }
        })),
      () => isRight ? size : -1
    )
  })

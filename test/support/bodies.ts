/**
 * Bodies of any size that are made as they are read, and verified by their hash.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createCipheriv, createHash } from "node:crypto"

export const MiB = 1024 * 1024

/** Bytes that repeat nowhere and depend on their position, made as they are pulled. */
export const bytesOf = (seed: number, size: number, chunkSize = 64 * 1024): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    const next = generator(seed)
    return Stream.map(
      Stream.range(0, Math.ceil(size / chunkSize) - 1, 1),
      (index) => next(Math.min(chunkSize, size - index * chunkSize))
    )
  })

const generator = (seed: number) => {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16))
  return (size: number): Uint8Array => cipher.update(Buffer.alloc(size))
}

/** The hash of `bytesOf`. */
export const hashOf = (seed: number, size: number): string => {
  const hash = createHash("sha256")
  const next = generator(seed)
  for (let left = size; left > 0; left -= 65536) hash.update(next(Math.min(65536, left)))
  return hash.digest("hex")
}

export const sha256 = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const hash = createHash("sha256")
    return Effect.map(
      Stream.runForEach(stream, (chunk) => Effect.sync(() => hash.update(chunk))),
      () => hash.digest("hex")
    )
  })

/**
 * Chunks of bodies that are no `Uint8Array`s.
 */
import * as Stream from "effect/Stream"
import { allByteValues, utf8 } from "./cases.ts"

/** Chunks that are no `Uint8Array`s, though the type of the stream says so, and the bytes they have. */
export const otherChunks: Readonly<
  Record<string, readonly [make: () => Iterable<unknown>, expected: () => Uint8Array]>
> = {
  "short text": [() => ["naïve ", "✓ ", "😀"], () => utf8("naïve ✓ 😀")],
  "text of 1 MiB": [
    () => Array.from({ length: 64 }, (_, index) => "✓".repeat(6000 + index)),
    () => utf8("✓".repeat(64 * 6000 + 32 * 63))
  ],
  "views of other kinds": [
    () => [
      new DataView(allByteValues.buffer, 1, 7),
      new Uint16Array(allByteValues.buffer, 8, 4),
      allByteValues.subarray(16)
    ],
    () => allByteValues.subarray(1)
  ]
}

/** Chunks that have no bytes. */
export const unusableChunks: Readonly<Record<string, unknown>> = {
  "a number": 5,
  "an object": { a: 1 },
  "an ArrayBuffer": allByteValues.buffer,
  "null": null
}

export const streamOf = (chunks: Iterable<unknown>): Stream.Stream<Uint8Array> =>
  Stream.rechunk(Stream.fromIterable(chunks as Iterable<Uint8Array>), 1)

/**
 * Bytes of an upgraded stream, by themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { IncomingBody } from "../../src/internal/http/incomingBody.ts"
import { RawStream } from "../../src/internal/http/rawStream.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import type { HttpStream } from "../../src/internal/streams/stream.ts"
import { within } from "../support/waiting.ts"

/** An upgraded stream whose send buffer is full after each write. */
const begin = () => {
  const stream = { isWritten: false, isClosed: false } as unknown as HttpStream
  const mux = {
    write: () => false,
    finish: () => {
      Object.assign(stream, { isWritten: true })
    }
  } as unknown as Multiplexed
  return new RawStream(mux, stream, new IncomingBody(mux, stream, undefined, false), { onLost() {}, onEnd() {} })
}

describe("writers", () => {
  it.live("a writer does not wait for room if its direction has ended since it has written", () =>
    Effect.gen(function*() {
      const raw = begin()
      const waiting = raw.sent(raw.send(Uint8Array.of(1)))
      raw.finish()
      yield* within("the writer", waiting)
      // A drain still waits for the reader.
      assert.isTrue(raw.room.isFull)
    }))
})

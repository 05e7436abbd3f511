/**
 * What is left of a connection that has failed, when somebody keeps its error.
 */
import { assert, it } from "@effect/vitest"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { collectGarbage } from "../support/measurements.ts"

const limits = { resumeWindow: 0 }

/** A connection that fails on both ends: its errors, and what must not be kept by them. */
const fail = Effect.scoped(Effect.gen(function*() {
  const pair = yield* SwaggerSocketTest.makePair({ limits, serverLimits: limits })
  const ends = [pair.client, pair.server]
  yield* pair.cut
  return {
    errors: yield* Effect.forEach(ends, ({ closed }) => closed),
    multiplexers: ends.map((connection) => new WeakRef(peerOf(connection).mux))
  }
}))

it.live("an error that a program keeps does not keep its connection in memory", () =>
  Effect.gen(function*() {
    const failed = yield* Effect.replicateEffect(fail, 20)
    yield* collectGarbage
    for (const { errors } of failed) for (const end of errors) assert.strictEqual(end._tag, "Failed")
    const kept = failed.flatMap(({ multiplexers }) => multiplexers).filter((ref) => ref.deref() !== undefined)
    // The last ones may be on a stack still.
    assert.isAtMost(kept.length, 4)
  }))

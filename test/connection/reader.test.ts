/**
 * How a connection reads its link.
 */
import { assert, describe, it } from "@effect/vitest"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { readAll } from "../../src/internal/connection/reader.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { Gate } from "../../src/internal/scheduling/gate.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import { turn } from "../support/waiting.ts"

/** Lets other fibers run until nothing more happens. */
const settled = Effect.replicateEffect(turn, 10)

describe("a pause that the multiplexer asks for", () => {
  it.effect("comes before the next message, whether that is in the same batch or in the next one", () =>
    Effect.gen(function*() {
      const read: Array<number> = []
      let pauses = 0
      const mux = { pauseMillis: 0 } as { pauseMillis: number } & Multiplexed
      const batches: Array<NonEmptyReadonlyArray<Uint8Array>> = [
        [Uint8Array.of(1), Uint8Array.of(2)],
        [Uint8Array.of(3)]
      ]
      const link = {
        pull: Effect.suspend(() => {
          const batch = batches.shift()
          return batch === undefined ? Effect.never : Effect.succeed(batch)
        })
      } as unknown as Link
      const receiver = {
        receive: (message: Uint8Array | string) => {
          read.push(message[0] as number)
          mux.pauseMillis = 100
          return undefined
        },
        receiveRest: () => undefined,
        paused: () => {
          pauses++
        }
      }
      const reading = yield* Effect.forkChild(readAll(link, mux, new Gate(), receiver))
      yield* settled
      assert.deepStrictEqual(read, [1])
      yield* TestClock.adjust("99 millis")
      yield* settled
      assert.deepStrictEqual(read, [1])
      yield* TestClock.adjust("1 millis")
      yield* settled
      assert.deepStrictEqual(read, [1, 2])
      yield* TestClock.adjust("100 millis")
      yield* settled
      assert.deepStrictEqual(read, [1, 2, 3])
      assert.strictEqual(pauses, 3)
      yield* Fiber.interrupt(reading)
    }))
})

/**
 * When an end whose peer drains may close the connection, without sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { Quiescence } from "../../src/internal/connection/quiescence.ts"
import type { Link } from "../../src/internal/link/link.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import { isDone, start } from "../support/draining.ts"

/** A connection without streams, and a wait for a second of it. */
const wait = Effect.gen(function*() {
  const mux = { active: { local: 0, remote: 0, waiting: 0 }, counters: { streamsAccepted: 0 } }
  const quiescence = new Quiescence(mux as Multiplexed, undefined)
  const links = { now: {} as Link | undefined }
  const lasted = yield* start(quiescence.lasts(Duration.seconds(1), Duration.minutes(1), Effect.never, () => links.now))
  yield* TestClock.adjust("800 millis")
  return { mux, quiescence, links, lasted }
})

it.live("a multiplexer that throws when it is asked for its streams does not end the process", () =>
  Effect.gen(function*() {
    const thrown: Array<unknown> = []
    const onError = (error: unknown) => thrown.push(error)
    process.on("uncaughtException", onError)
    yield* Effect.addFinalizer(() => Effect.sync(() => process.off("uncaughtException", onError)))
    let asked = 0
    const mux = {
      get active() {
        asked++
        throw new Error("a fault of the multiplexer")
      }
    }
    const quiescence = new Quiescence(mux as unknown as Multiplexed, undefined)
    yield* Effect.timeoutOption(quiescence.reached, "20 millis")
    assert.strictEqual(asked, 1)
    assert.deepStrictEqual(thrown, [])
  }).pipe(Effect.scoped))

describe("connection without streams", () => {
  it.effect("a second without streams is over after a second", () =>
    Effect.gen(function*() {
      const { lasted } = yield* wait
      assert.isFalse(isDone(lasted))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(isDone(lasted))
    }))

  it.effect("a second without streams begins anew after a stream that was opened and closed in it", () =>
    Effect.gen(function*() {
      const { lasted, mux } = yield* wait
      mux.counters.streamsAccepted++
      yield* TestClock.adjust("1 second")
      assert.isFalse(isDone(lasted))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(isDone(lasted))
    }))

  it.effect("a second without streams begins when the stream that was opened in it is closed", () =>
    Effect.gen(function*() {
      const { lasted, mux, quiescence } = yield* wait
      mux.counters.streamsAccepted++
      mux.active.remote++
      yield* TestClock.adjust("10 seconds")
      mux.active.remote--
      quiescence.check()
      yield* TestClock.adjust("900 millis")
      assert.isFalse(isDone(lasted))
      yield* TestClock.adjust("100 millis")
      assert.isTrue(isDone(lasted))
    }))

  // MUTANT_SECOND_WITHOUT_LINK of spec/drain.pml.
  it.effect("a second in which the link was lost does not count", () =>
    Effect.gen(function*() {
      const { lasted, links } = yield* wait
      links.now = undefined
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(isDone(lasted), "without a link")
      links.now = {} as Link
      yield* TestClock.adjust("1 second")
      assert.isFalse(isDone(lasted), "with another link for a part of it")
      yield* TestClock.adjust("1 second")
      assert.isTrue(isDone(lasted))
    }))

  it.effect("a second without streams is awaited for no longer than asked", () =>
    Effect.gen(function*() {
      const { lasted, links } = yield* wait
      links.now = undefined
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isDone(lasted))
    }))
})

/**
 * Many messages, and readers that are slower than writers.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { MiB } from "../support/bodies.ts"
import { extent } from "../support/extent.ts"
import { settled, until, within } from "../support/waiting.ts"
import { type Binding, bindings } from "./bindings.ts"
import { type Reading, serve } from "./weather.ts"

const KiB = 1024

/** What may be on its way: most of it in the operating system, which takes several MiB on loopback. */
const most = 24 * MiB

const size = 10 * KiB

/** Endless messages of 10 KiB, and how many bytes of them were made. */
const makeSource = () => {
  const source = { bytes: 0 }
  const stream = Stream.forever(Stream.fromEffect(Effect.sync((): Reading => {
    source.bytes += size
    return { celsius: source.bytes / size, at: "x".repeat(size) }
  })))
  return { source, stream }
}

const suite = ({ name, start }: Binding, count: number) =>
  describe(name, () => {
    it.live(`${count} messages each way arrive in order, none of them twice`, () =>
      Effect.gen(function*() {
        const { sensors } = yield* start(serve({
          convert: (payload) => Effect.succeed(Stream.map(payload, ({ celsius }) => -celsius))
        }))
        const payload = Stream.map(Stream.range(1, count), (celsius): Reading => ({ celsius, at: "" }))
        let last = 0
        yield* Stream.runForEach(yield* sensors.convert({ payload }), (negative) =>
          Effect.sync(() => {
            if (negative !== -(++last)) assert.fail(`${negative} behind ${-last}`)
          }))
        assert.strictEqual(last, count)
      }), 60_000)

    it.live("a client that stops reading suspends the handler's endless stream until it reads on", () =>
      Effect.gen(function*() {
        const { source, stream } = makeSource()
        const { sensors } = yield* start(serve({ watch: () => Effect.succeed(stream) }))
        const pull = yield* Effect.flatMap(sensors.watch({ query: {} }), Stream.toPull)
        let next = 1
        const read = Effect.map(pull, (readings) => {
          for (const { celsius } of readings) assert.strictEqual(celsius, next++)
        })
        yield* read
        const stopped = yield* settled("what was made", () => source.bytes)
        assert.isBelow(stopped, most)
        yield* within("the rest", Effect.repeat(read, { until: () => next > 2 * stopped / size }))
        assert.isAbove(source.bytes, stopped)
      }))

    it.live("a handler that stops reading suspends the client's endless stream until it reads on", () =>
      Effect.gen(function*() {
        const { source, stream } = makeSource()
        const gate = Latch.makeUnsafe(false)
        let wanted = Number.POSITIVE_INFINITY
        let taken = 0
        const { sensors } = yield* start(serve({
          average: (payload) =>
            Effect.map(
              Stream.runForEach(
                Stream.takeWhile(payload, ({ celsius }) => celsius < wanted),
                ({ celsius }) => Effect.andThen(gate.await, Effect.sync(() => assert.strictEqual(celsius, ++taken)))
              ),
              () => taken
            )
        }))
        const call = yield* Effect.forkChild(sensors.average({ payload: stream }), { startImmediately: true })
        yield* until("the first message", () => source.bytes > 0)
        const stopped = yield* settled("what was made", () => source.bytes)
        assert.isBelow(stopped, most)
        wanted = 2 * stopped / size
        yield* gate.open
        yield* within("the result", Fiber.join(call))
        assert.isAbove(source.bytes, stopped)
      }))
  })

for (const [index, binding] of bindings.entries()) {
  suite(binding, index < 2 ? extent("MESSAGES", 30_000, 100_000) : 10_000)
}

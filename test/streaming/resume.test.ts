/**
 * Streams on a connection outlive its links: nothing is lost, nothing comes twice, nothing changes places.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Ends } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { assertResumed, join } from "../support/proxied.ts"
import { until } from "../support/waiting.ts"
import { type Client, startOn } from "./bindings.ts"
import { type Reading, serve } from "./weather.ts"

const cuts = 50

/** Numbered messages until `finish`, and a reader that checks the numbers. */
class Numbers {
  made = 0
  received = 0
  #isDone = false

  finish(): void {
    this.#isDone = true
  }

  /** The last number that was made is not sent. */
  readonly source: Stream.Stream<Reading> = Stream.fromEffect(
    Effect.map(Effect.yieldNow, () => ({ celsius: this.made++, at: "x".repeat(100) }))
  ).pipe(Stream.forever, Stream.takeWhile(() => !this.#isDone))

  readonly receive = (number: number): Effect.Effect<void> =>
    Effect.sync(() => {
      if (number !== this.received++) assert.fail(`${number} where ${this.received - 1} should be`)
    })

  /** Waits for messages that were not yet made. */
  get progress(): Effect.Effect<void> {
    const next = this.made + 10
    return until(`message ${next}`, () => this.received > next)
  }
}

/** A call whose messages are the numbers, in a direction. */
const makeCall = (numbers: Numbers, direction: "down" | "up" | "both") => {
  const app = serve({
    watch: () => Effect.succeed(numbers.source),
    average: (payload) => Effect.as(Stream.runForEach(payload, ({ celsius }) => numbers.receive(celsius)), 42),
    convert: (payload) => Effect.succeed(Stream.map(payload, ({ celsius }) => celsius))
  })
  const run = ({ sensors }: Client): Effect.Effect<void, unknown> => {
    switch (direction) {
      case "down":
        return Effect.flatMap(
          sensors.watch({ query: {} }),
          (stream) => Stream.runForEach(stream, ({ celsius }) => numbers.receive(celsius))
        )
      case "up":
        return Effect.map(
          sensors.average({ payload: numbers.source }),
          (result) => assert.strictEqual(result, 42)
        )
      case "both":
        return Effect.flatMap(sensors.convert({ payload: numbers.source }), Stream.runForEach(numbers.receive))
    }
  }
  return { app, run }
}

/** Runs a call while its link is cut again and again. */
const runThroughCuts = Effect.fnUntraced(function*(
  ends: Ends,
  serving: "client" | "server",
  direction: "down" | "up" | "both",
  cut: (index: number) => Effect.Effect<unknown, unknown>
) {
  const numbers = new Numbers()
  const { app, run } = makeCall(numbers, direction)
  const client = yield* startOn(ends, serving, app)
  const call = yield* Effect.forkChild(run(client))
  for (let index = 0; index < cuts; index++) {
    yield* numbers.progress
    yield* cut(index)
  }
  yield* numbers.progress
  numbers.finish()
  yield* Fiber.join(call)
  assert.strictEqual(numbers.received, numbers.made - 1)
  yield* assertIdle(ends)
})

const directions = { down: "what the server streams", up: "what the client streams", both: "what both stream" } as const

describe("cuts of real links", () => {
  for (
    const [serving, direction] of [
      ["server", "down"],
      ["server", "up"],
      ["server", "both"],
      ["client", "down"],
      ["client", "both"]
    ] as const
  ) {
    it.live(`${directions[direction]} comes whole and in order through ${cuts} cuts of real links, API on the ${serving}`, () =>
      Effect.gen(function*() {
        const { ends, events, proxy } = yield* join({})
        const resumed = () => events.client.filter(({ _tag }) => _tag === "ConnectionResumed").length
        yield* runThroughCuts(ends, serving, direction, (index) =>
          Effect.andThen(
            proxy.cut(),
            until(`resumption ${index + 1}`, () => resumed() > index)
          ))
        assert.strictEqual(assertResumed(events.client, ends.client), cuts)
      }))
  }
})

describe("cuts of links in memory", () => {
  for (const direction of ["down", "up", "both"] as const) {
    it.live(`${directions[direction]} comes whole and in order through ${cuts} cuts of links in memory`, () =>
      Effect.gen(function*() {
        const { client, cut, server } = yield* SwaggerSocketTest.makePair()
        yield* runThroughCuts({ client, server }, "server", direction, () => cut)
      }).pipe(Effect.provide(
        Reconnection.layer({ schedule: Reconnection.fullJitter({ base: "1 millis", cap: "5 millis" }) })
      )))
  }
})

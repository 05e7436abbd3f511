/**
 * How long the attempts of a client may take.
 */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

describe("a client's attempts", () => {
  it.effect("one that takes too long is followed by one of twice the time, up to four times; any other end begins anew", () =>
    Effect.gen(function*() {
      const begun: Array<number> = []
      const now = Effect.map(Effect.clockWith((clock) => clock.currentTimeMillis), (millis) => millis / 1000)
      // The fifth attempt fails at once; all others never end.
      const url = Effect.flatMap(now, (seconds) => begun.push(seconds) === 5 ? Effect.fail("no") : Effect.never)
      const run = Effect.gen(function*() {
        const client = yield* SwaggerSocketClient.SwaggerSocketClient
        const failures = yield* Effect.forkChild(
          Stream.runCollect(Stream.take(Stream.mapEffect(client.events, () => now), 6)),
          { startImmediately: true }
        )
        for (let seconds = 0; seconds < 200; seconds++) yield* TestClock.adjust("1 second")
        return yield* Fiber.join(failures)
      })
      const ended = yield* Effect.provide(
        run,
        SwaggerSocketClient.layer({ url, metadata: null, limits: { handshakeTimeout: "10 seconds" } }).pipe(
          Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
          Layer.provide(Reconnection.layer({ schedule: Schedule.spaced("1 second") }))
        )
      )
      assert.deepStrictEqual(ended.map((at, index) => at - begun[index]!), [10, 20, 40, 40, 0, 10])
    }))
})

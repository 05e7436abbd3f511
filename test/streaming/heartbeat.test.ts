/**
 * Pings of a streaming call on a WebSocket of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Link } from "../../src/internal/link/link.ts"
import { pingsOf, untilSilent } from "../../src/internal/streaming/heartbeat.ts"
import { answering, standStill } from "../support/stalledProcess.ts"
import { until } from "../support/waiting.ts"

const timeout = 20

describe("stalled process", () => {
  it.live("a process that stalls until the pong timeout finds the pong of a streaming call before it ends the call", () =>
    Effect.gen(function*() {
      const answers = new Int32Array(new SharedArrayBuffer(4))
      const { socket } = yield* answering(answers)
      let pings = 0
      let hear = () => {}
      socket.on("data", () => hear())
      const webSocket = {
        ping() {
          socket.write("x")
          pings++
          setImmediate(() => standStill(answers, pings, 2 * timeout))
        },
        on(event: "ping" | "pong", listener: (data: Uint8Array) => void) {
          if (event === "pong") hear = () => listener(new Uint8Array(0))
        },
        terminate() {}
      }
      const running = yield* Effect.forkChild(untilSilent({ webSocket } as unknown as Link, {
        interval: Duration.millis(10),
        timeout: Duration.millis(timeout)
      }))
      yield* until("five pings", () => pings >= 5)
      assert.isUndefined(running.pollUnsafe())
      socket.removeAllListeners("data").pause()
      yield* Fiber.join(running)
    }))
})

describe("pings", () => {
  it("an interval or a timeout of 0 is a RangeError; pings are off without an interval", () => {
    assert.throws(() => pingsOf({ pingInterval: 0 }), RangeError, "pingInterval")
    assert.throws(() => pingsOf({ pingInterval: "1 second", pongTimeout: "0 seconds" }), RangeError, "pongTimeout")
    assert.isUndefined(pingsOf({ pongTimeout: 0 }))
  })
})

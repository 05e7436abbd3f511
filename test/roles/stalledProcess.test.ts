/**
 * A process that stands still between a ping and its pong: the pong waits in the socket when the time is up, and timers run before
 * sockets are read.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Net from "node:net"
import { Worker } from "node:worker_threads"
import type { Controls, Link } from "../../src/internal/link/link.ts"
import { untilSilent } from "../../src/internal/streaming/heartbeat.ts"
import { until } from "../hostile/events.ts"

/** A peer with an event loop of its own: answers each byte with a byte, and counts its answers. */
const answering = (answers: Int32Array) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Net.Socket; readonly worker: Worker }>((resume) => {
      const worker = new Worker(
        `
        const { parentPort, workerData } = require("node:worker_threads")
        const server = require("node:net").createServer((socket) => {
          socket.on("error", () => {})
          socket.on("data", (data) => socket.write(data, () => {
            Atomics.add(workerData, 0, data.length)
            Atomics.notify(workerData, 0)
          }))
        })
        server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))
        `,
        { eval: true, workerData: answers }
      )
      worker.once("message", (port: number) => {
        const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed({ socket, worker })))
      })
    }),
    ({ socket, worker }) =>
      Effect.promise(() => {
        socket.destroy()
        return worker.terminate()
      })
  )

/** Nothing else runs until the peer has answered and the time is up. */
const standStill = (answers: Int32Array, count: number, millis: number): void => {
  const end = performance.now() + millis
  while (Atomics.load(answers, 0) < count) Atomics.wait(answers, 0, Atomics.load(answers, 0), 1000)
  while (performance.now() < end) Math.random()
}

const timeout = 20

describe("stalled process", () => {
  it.live("a process that stalls until the pong timeout finds the pong before it declares the connection dead", () =>
    Effect.gen(function*() {
      const answers = new Int32Array(new SharedArrayBuffer(4))
      const { socket } = yield* answering(answers)
      let [pings, received] = [0, 0]
      const beat = yield* Heartbeat.make({ interval: "10 millis", timeout: Duration.millis(timeout) })({
        connectionId: "x",
        ping() {
          socket.write("x")
          pings++
          // Once this turn is over: what was written leaves with it.
          setImmediate(() => standStill(answers, pings, 2 * timeout))
        },
        received: () => received,
        roundTrip() {},
        fork() {}
      })
      socket.on("data", (data) => {
        received += data.length
        beat.onPong(new Uint8Array(0))
      })
      const running = yield* Effect.forkChild(beat.run)
      yield* until("five pings", () => pings >= 5)
      assert.isUndefined(running.pollUnsafe())
      // The peer has stopped: it is found out all the same.
      socket.removeAllListeners("data").pause()
      const error = yield* Effect.flip(Fiber.join(running))
      assert.strictEqual(error.reason._tag, "HeartbeatTimeout")
    }))

  it.live("a process that stalls until the pong timeout finds the pong of a streaming call before it ends the call", () =>
    Effect.gen(function*() {
      const answers = new Int32Array(new SharedArrayBuffer(4))
      const { socket } = yield* answering(answers)
      let pings = 0
      let hear = () => {}
      socket.on("data", () => hear())
      const controls: Controls = {
        ping() {
          socket.write("x")
          pings++
          setImmediate(() => standStill(answers, pings, 2 * timeout))
        },
        listen(_onPing, onPong) {
          hear = () => onPong(new Uint8Array(0))
        }
      }
      const running = yield* Effect.forkChild(untilSilent({ controls } as unknown as Link, {
        interval: Duration.millis(10),
        timeout: Duration.millis(timeout)
      }))
      yield* until("five pings", () => pings >= 5)
      assert.isUndefined(running.pollUnsafe())
      socket.removeAllListeners("data").pause()
      yield* Fiber.join(running)
    }))
})

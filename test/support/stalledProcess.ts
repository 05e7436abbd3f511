/**
 * A process that stands still between a ping and its pong: the pong waits in the socket when the time is up, and timers
 * run before sockets are read.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { Worker } from "node:worker_threads"

/** A peer with an event loop of its own: answers each byte with a byte, and counts its answers. */
export const answering = (answers: Int32Array) =>
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
export const standStill = (answers: Int32Array, count: number, millis: number): void => {
  const end = performance.now() + millis
  while (Atomics.load(answers, 0) < count) Atomics.wait(answers, 0, Atomics.load(answers, 0), 1000)
  while (performance.now() < end) Math.random()
}

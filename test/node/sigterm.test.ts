/**
 * Processes that are told to stop: what they have begun to answer arrives.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import { hashOf, MiB, sha256 } from "../support/bodies.ts"
import { Hub, layerHub, socketUrl } from "../support/connections.ts"
import { fork } from "../support/fork.ts"

/** The device of the quick start, in a process of its own, as its hub sees it. */
const device = Effect.fnUntraced(function*(wire: "v1" | "v2") {
  const child = yield* fork(new URL("children/device.ts", import.meta.url), [yield* socketUrl, wire])
  const connection = yield* (yield* Hub).awaitConnection()
  const ended = Effect.callback<number | null>((resume) => {
    if (child.process.exitCode !== null) return resume(Effect.succeed(child.process.exitCode))
    child.process.once("exit", (code) => resume(Effect.succeed(code)))
  })
  return { connection, ended }
})

describe("device that gets SIGTERM", () => {
  for (const wire of ["v2", "v1"] as const) {
    for (const kind of ["whole", "stream"] as const) {
      for (const [count, size] of [[1, 24 * MiB], [20, 300_000]] as const) {
        it.live(`a device that gets SIGTERM sends ${count} answers of ${size} bytes, then exits, ${kind}, on wire ${wire}`, () =>
          Effect.gen(function*() {
            const { connection, ended } = yield* device(wire)
            const api = ApiClient.make(connection)
            const call = Effect.flatMap(api.get(`/${kind}/${size}/${count}`), ({ stream }) => sha256(stream))
            const hashes = yield* Effect.all(Array.from({ length: count }, () => call), { concurrency: "unbounded" })
            assert.deepStrictEqual(hashes, Array<string>(count).fill(hashOf(size, size)))
            assert.strictEqual(yield* ended, 130)
            const end = yield* connection.closed
            assert.deepStrictEqual(end._tag === "Closed" && [end.initiator, end.code], ["remote", 1001])
          }).pipe(Effect.provide(layerHub())))
      }
    }
  }
})

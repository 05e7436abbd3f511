/**
 * 64 MiB up and 64 MiB down at once, with small calls between them, each end in a process of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { hashOf, MiB } from "../support/bodies.ts"
import type { Memory, Message } from "../support/child.ts"
import { fork } from "../support/fork.ts"
import { atMostTwice, report, round, watchLateness } from "../support/measurements.ts"
import type { Begin, Result } from "./children/bulk.ts"

const size = 64 * MiB

describe("bulk bodies", () => {
  for (const api of ["server", "client"] as const) {
    it.live(
      `small calls stay quick and memory bounded beside 64 MiB each way, API on the ${api}`,
      (context) =>
        atMostTwice(Effect.gen(function*() {
          const server = yield* fork(new URL("children/bulk.ts", import.meta.url), ["server", api])
          const { url } = yield* server.hear<Message & { readonly type: "listening"; readonly url: string }>(
            "listening"
          )
          const client = yield* fork(new URL("children/bulk.ts", import.meta.url), ["client", api, url])
          const [serving, calling] = api === "server" ? [server, client] : [client, server]
          yield* serving.hear("serving")
          yield* calling.hear("ready")
          const children = { serving, calling }
          for (const child of [serving, calling]) {
            yield* child.tell<Begin>({ type: "begin", size })
            yield* child.hear("watching")
          }
          const idle = { serving: serving.rss(), calling: calling.rss() }
          const peak = { ...idle }
          const timer = setInterval(() => {
            for (const end of ["serving", "calling"] as const) peak[end] = Math.max(peak[end], children[end].rss())
          }, 50)
          yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
          const lateness = watchLateness()
          yield* Effect.addFinalizer(() => Effect.sync(lateness.stop))
          yield* calling.tell({ type: "go" })
          const result = yield* calling.hear<Result>("result")
          clearInterval(timer)
          const late = lateness.stop()
          yield* serving.tell({ type: "end" })
          const memory = {
            serving: yield* serving.hear<Memory>("memory"),
            calling: yield* calling.hear<Memory>("memory")
          }
          const [[upHash, upMillis], [downHash, downMillis]] = [result.up, result.down]
          const mib = (bytes: number) => round(bytes / MiB)
          const used = (end: "serving" | "calling") => ({
            rssIdle: mib(idle[end]),
            rssAboveIdle: mib(peak[end] - idle[end]),
            heapIdle: mib(memory[end].idle),
            heapAboveIdle: mib(memory[end].peak - memory[end].idle),
            arrayBuffers: mib(memory[end].arrayBuffers),
            roundTripMillis: round(memory[end].roundTripMillis ?? Number.NaN)
          })
          report(context, {
            small: result.small,
            machineLateP99: late.p99,
            upMiBps: round(64 / upMillis * 1000),
            downMiBps: round(64 / downMillis * 1000),
            serving: used("serving"),
            calling: used("calling")
          })
          assert.strictEqual(upHash, hashOf(1, size))
          assert.strictEqual(downHash, hashOf(2, size))
          assert.isAbove(result.small.calls, 20)
          // 50 ms; on a machine that is too busy for that, what windows that have grown once take to get through.
          const windows = 8 / 64 * Math.max(upMillis, downMillis)
          assert.isBelow(result.small.p99, Math.max(50, windows) + 2 * late.p99)
          // Newer versions of Node collect the buffers that the test itself has used up later: 17 to 82 MiB were seen.
          const most = process.versions.node.startsWith("20.") ? 64 : 112
          assert.isBelow(used("serving").rssAboveIdle, most)
          assert.isBelow(used("calling").rssAboveIdle, most)
        })),
      120_000
    )
  }
})

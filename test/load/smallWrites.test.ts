/**
 * Bodies that are written in very many very small pieces.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { MiB } from "../support/bodies.ts"
import { join, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { collectGarbage, heapBytes, report, round, timed } from "../support/measurements.ts"

const count = 100_000
const size = 10

/** Chunks, each of them its number in ten digits, one at a time. */
const numbers = (offset: number, count: number): Stream.Stream<Uint8Array> =>
  Stream.map(
    Stream.range(0, count - 1, 1),
    (index) => Buffer.from(String(offset + index).padStart(size, "0"), "latin1")
  )

/** Counts the numbers that arrive in their order, to the first that does not. */
const check = <E>(body: Stream.Stream<Uint8Array, E>, offset: number): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    let [next, rest] = [0, ""]
    let broken = false
    return Effect.map(
      Stream.runForEach(body, (bytes) =>
        Effect.sync(() => {
          const text = rest + Buffer.from(bytes).toString("latin1")
          let at = 0
          for (; at + size <= text.length; at += size) {
            if (Number(text.slice(at, at + size)) !== offset + next) broken = true
            if (!broken) next++
          }
          rest = text.slice(at)
        })),
      () => rest === "" ? next : -1
    )
  })

describe("small chunks", () => {
  for (const serving of ["server", "client"] as const) {
    it.live(`100,000 chunks of 10 bytes each way arrive in order in few messages, API on the ${serving}`, (context) =>
      Effect.gen(function*() {
        const ends = yield* join()
        const { api, calling, serving: peer } = roles(ends, serving)
        yield* serveRoutes(
          peer,
          Layer.merge(
            HttpRouter.add(
              "POST",
              "/up",
              Effect.gen(function*() {
                const request = yield* HttpServerRequest.HttpServerRequest
                return HttpServerResponse.text(String(yield* check(request.stream, 1e9)))
              })
            ),
            HttpRouter.add(
              "GET",
              "/down/:count",
              Effect.map(HttpRouter.params, ({ count }) => HttpServerResponse.stream(numbers(2e9, Number(count))))
            )
          )
        )
        const both = (count: number) =>
          timed(Effect.all([
            Effect.flatMap(
              api.post("/up", { body: HttpBody.stream(numbers(1e9, count)) }),
              (response) => response.text
            ),
            Effect.flatMap(api.get(`/down/${count}`), (response) => check(response.stream, 2e9))
          ], { concurrency: 2 }))
        const [, tenth] = yield* both(count / 10)
        const before = yield* calling.statistics
        yield* collectGarbage
        const [heapIdle, rssIdle] = [heapBytes(), process.memoryUsage().rss]
        let [heapPeak, rssPeak] = [heapIdle, rssIdle]
        const timer = setInterval(() => {
          heapPeak = Math.max(heapPeak, heapBytes())
          rssPeak = Math.max(rssPeak, process.memoryUsage().rss)
        }, 50)
        yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
        const [[up, down], millis] = yield* both(count)
        clearInterval(timer)
        const after = yield* calling.statistics
        const messagesSent = after.messagesSent - before.messagesSent
        const messagesReceived = after.messagesReceived - before.messagesReceived
        report(context, {
          millis: round(millis),
          millisOfATenth: round(tenth),
          frames: after.framesSent + after.framesReceived,
          messagesReceived,
          messagesSent,
          heapAboveIdleMiB: round((heapPeak - heapIdle) / MiB),
          rssAboveIdleMiB: round((rssPeak - rssIdle) / MiB)
        })
        assert.strictEqual(up, String(count))
        assert.strictEqual(down, count)
        assert.isBelow(messagesSent, count / 20)
        assert.isBelow(messagesReceived, count / 20)
        assert.isBelow(millis, Math.max(1000, 40 * tenth), "many cost more each than few do")
        assert.isBelow(heapPeak - heapIdle, 64 * MiB)
        yield* assertIdle(ends)
      }))
  }
})

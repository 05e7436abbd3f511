/**
 * A reader that stops in the middle of a body stops its own stream and no other.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { bodyRoutes } from "../support/bodyRoutes.ts"
import { type Ends, join, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { everyOther, extent } from "../support/extent.ts"
import { atMostTwice, latencies, percentile, report, round, timed } from "../support/measurements.ts"

/** How long the readers stop, in milliseconds. */
const pause = 1000 * extent("PAUSE_SECONDS", 1, 5)

/** How long calls are measured without them, before and afterwards, in milliseconds. */
const aloneMillis = 600

/** The hash of a body whose reader stops at `gate` once it has `before` bytes. */
const stopping = <E, R>(
  body: Stream.Stream<Uint8Array, E, R>,
  before: number,
  stopped: Effect.Effect<unknown>,
  gate: Deferred.Deferred<void>
) => {
  let received = 0
  return sha256(Stream.tap(body, (chunk) => {
    const reached = received < before && received + chunk.length >= before
    received += chunk.length
    return reached ? Effect.andThen(stopped, Deferred.await(gate)) : Effect.void
  }))
}

/** Calls one after the other for as long as the pause; each must be answered right. */
const load = (client: HttpClient.HttpClient, direction: "download" | "upload", millis: number) =>
  Effect.gen(function*() {
    const until = performance.now() + millis
    const [small, big]: [Array<number>, Array<number>] = [[], []]
    const smallCalls = Effect.gen(function*() {
      while (performance.now() < until) {
        const [text, millis] = yield* timed(
          Effect.flatMap(client.post("/echo", { body: HttpBody.text("small") }), (response) => response.text)
        )
        assert.strictEqual(text, "small")
        small.push(millis)
      }
    })
    const expected = hashOf(9, 8 * MiB)
    const bigCalls = Effect.gen(function*() {
      while (performance.now() < until) {
        const [hash, millis] = yield* timed(
          direction === "download"
            ? Effect.flatMap(client.get(`/download/9/${8 * MiB}`), (response) => sha256(response.stream))
            : Effect.flatMap(
              client.post("/upload", { body: HttpBody.stream(bytesOf(9, 8 * MiB)) }),
              (response) => response.text
            )
        )
        assert.strictEqual(hash, expected)
        big.push(millis)
      }
    })
    yield* Effect.all([smallCalls, bigCalls], { concurrency: 2 })
    return { small, big }
  })

const scenario = Effect.fnUntraced(function*(options: {
  readonly serving: "client" | "server"
  readonly direction: "download" | "upload"
  readonly readers: number
  readonly size: number
  readonly before: number
  readonly delay: number | undefined
}) {
  const { before, direction, readers, size } = options
  const ends: Ends = yield* join({ delay: options.delay })
  const { api: client, calling, serving } = roles(ends, options.serving)
  const gate = yield* Deferred.make<void>()
  const allStopped = yield* Deferred.make<void>()
  let atGate = 0
  /** One after the other, each has the link for itself: its window grows to what the link can carry. */
  const turns = Semaphore.makeUnsafe(options.delay === undefined ? readers : 1)
  const stopped = Effect.suspend(() =>
    Effect.andThen(
      turns.release(1),
      ++atGate === readers ? Deferred.succeed(allStopped, undefined) : Effect.void
    )
  )
  yield* serveRoutes(
    serving,
    Layer.mergeAll(
      HttpRouter.add(
        "POST",
        "/echo",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.text(yield* request.text)
        })
      ),
      bodyRoutes,
      HttpRouter.add(
        "POST",
        "/stopping",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.text(yield* stopping(request.stream, before, stopped, gate))
        })
      )
    )
  )

  yield* load(client, direction, 200)
  const baseline = yield* load(client, direction, aloneMillis)

  const seeds = Array.from({ length: readers }, (_, index) => 100 + index)
  const fibers = yield* Effect.forEach(seeds, (seed) =>
    Effect.forkChild(Effect.andThen(
      turns.take(1),
      direction === "download"
        ? Effect.flatMap(
          client.get(`/download/${seed}/${size}`),
          (response) => stopping(response.stream, before, stopped, gate)
        )
        : Effect.flatMap(
          client.post("/stopping", { body: HttpBody.stream(bytesOf(seed, size)) }),
          (response) => response.text
        )
    )))
  // Readers that have stopped must not keep others from getting that far.
  yield* Effect.timeoutOption(Deferred.await(allStopped), 20_000)
  const reached = atGate
  // Without progress of others this ends by the timeout, and the numbers tell.
  const millis = reached < readers ? 1000 : pause
  const patience = 5000 + 20 * Math.max(...baseline.big)
  const during = yield* Effect.timeoutOption(load(client, direction, millis), millis + patience)
  const unread = peerOf(direction === "download" ? calling : serving).mux.unreadBytes
  const pending = fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
  yield* Deferred.succeed(gate, undefined)
  const hashes = yield* Effect.forEach(fibers, Fiber.join)
  const afterwards = yield* load(client, direction, aloneMillis)

  const throughput = (millis: ReadonlyArray<number>) => round(8 / percentile(millis, 0.5) * 1000)
  const measured = {
    stopped: reached,
    unreadMiB: round(unread / MiB),
    small: during._tag === "Some" ? latencies(during.value.small) : "stalled",
    smallBaseline: latencies(baseline.small),
    bigMiBps: during._tag === "Some" ? throughput(during.value.big) : "stalled",
    bigMiBpsBaseline: throughput(baseline.big),
    smallAfterwards: latencies(afterwards.small),
    bigMiBpsAfterwards: throughput(afterwards.big)
  }
  return {
    ends,
    measured,
    alone: [baseline, afterwards],
    during,
    unread,
    pending,
    reached,
    hashes,
    expected: seeds.map((seed) => hashOf(seed, size))
  }
})

type Case = readonly [
  api: "server" | "client",
  direction: "download" | "upload",
  readers: number,
  size: number,
  before: number,
  delay?: number
]

describe(`readers that stop for ${pause / 1000} s`, () => {
  for (
    const [api, direction, readers, size, before, delay] of everyOther<Case>([
      ["server", "download", 1, 8, 1],
      ["server", "upload", 1, 8, 1],
      ["client", "download", 20, 2, 0.25],
      ["client", "upload", 20, 2, 0.25],
      // Windows that have grown to what a longer path needs, 8 MiB at most, leave more unread.
      ["server", "download", 24, 12, 2, 10],
      ["server", "upload", 24, 12, 2, 10]
    ])
  ) {
    it.live(
      `other calls stay quick beside ${readers} ${direction}${
        readers === 1 ? "" : "s"
      } of ${size} MiB stopped at ${before} MiB, API on the ${api}${
        delay === undefined ? "" : `, ${2 * delay} ms away`
      }`,
      (context) =>
        atMostTwice(Effect.gen(function*() {
          const result = yield* scenario({
            serving: api,
            direction,
            readers,
            size: size * MiB,
            before: before * MiB,
            delay
          })
          const { alone, during, measured } = result
          report(context, measured)
          assert.strictEqual(result.reached, readers, "readers that were held up by those that had stopped")
          assert.strictEqual(result.pending, readers, "readers that did not stop")
          assert.isAbove(result.unread, 0)
          assert.isTrue(during._tag === "Some", "other streams were held up")
          if (during._tag === "Some") {
            assert.isBelow(
              percentile(during.value.small, 0.99),
              Math.max(50, ...alone.map(({ small }) => percentile(small, 0.99) * 3))
            )
            // What the stopped readers hold may keep other windows from growing on a long path.
            const slower = delay === undefined ? 2 : 10
            assert.isBelow(
              percentile(during.value.big, 0.5),
              Math.max(200, ...alone.map(({ big }) => percentile(big, 0.5) * slower))
            )
          }
          assert.deepStrictEqual(result.hashes, result.expected)
          yield* assertIdle(result.ends)
        })),
      180_000
    )
  }
})

/**
 * Whole conversations at random with peers in another process: this process stays responsive, and its memory bounded.
 *
 * `FUZZ_SECONDS=600 npx vitest run conversations` is the long form, FUZZ_SEED repeats what the peers say.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import type * as HttpClient from "effect/http/HttpClient"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { MiB } from "../support/bodies.ts"
import { startClient } from "../support/clientUnderAttack.ts"
import { extent } from "../support/extent.ts"
import { type Child, fork } from "../support/fork.ts"
import { startFixture } from "../support/hubUnderAttack.ts"
import { collectGarbage, heapBytes, report, round } from "../support/measurements.ts"
import type { RawServer } from "../support/rawServer.ts"
import { startV1 } from "../v1/raw.ts"
import type { Listening, Talked } from "./children/talker.ts"

const seconds = extent("FUZZ_SECONDS", 2, 60)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))

const talker = (role: "client" | "server", wire: "v1" | "v2", url = "-") =>
  fork(new URL("children/talker.ts", import.meta.url), [role, wire, url, String(seed), String(seconds)])

/** Measures what this process itself used between two timers, until the scope closes. */
const watchStalls = Effect.gen(function*() {
  const stalls: Array<number> = []
  let last = performance.now()
  let used = process.cpuUsage()
  const timer = setInterval(() => {
    const now = performance.now()
    const { system, user } = process.cpuUsage(used)
    // Other processes of a busy machine are not this one's fault.
    stalls.push(Math.max(0, Math.min(now - last, (system + user) / 1000) - 5))
    last = now
    used = process.cpuUsage()
  }, 5)
  yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
  return stalls
})

/** Bytes of the heap. Interrupted connections may be kept for two minutes. */
const mostGrown = 300 * MiB

/** What is said while the talker talks; then the peers are gone, and so is what was kept for them. */
const measure = Effect.fnUntraced(function*(
  context: Parameters<typeof report>[0],
  child: Child,
  { forget }: { readonly forget: () => void },
  whileTalking: Effect.Effect<void>
) {
  yield* collectGarbage
  const before = heapBytes()
  const stalls = yield* watchStalls
  let peak = 0
  yield* Effect.forkScoped(Effect.repeat(
    Effect.sync(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }),
    Schedule.spaced("100 millis")
  ))
  yield* Effect.forkScoped(Effect.forever(whileTalking))
  const { bytes, conversations, messages } = yield* child.hear<Talked>("talked")
  child.process.kill("SIGKILL")
  const sorted = [...stalls].sort((a, b) => b - a)
  forget()
  // What was kept for the peers goes when their connections are closed, in a second.
  let grown = Number.POSITIVE_INFINITY
  for (const until = performance.now() + 2000; grown > mostGrown && performance.now() < until;) {
    yield* Effect.sleep("50 millis")
    forget()
    yield* collectGarbage
    grown = heapBytes() - before
  }
  report(context, {
    seed,
    conversations,
    messages,
    sentMiB: round(bytes / MiB),
    heapGrowthMiB: round(grown / MiB),
    peakRssMiB: round(peak / MiB),
    longestStallsMillis: sorted.slice(0, 5).map(round)
  })
  assert.isAbove(conversations, 0)
  return { grown, longest: sorted[0] ?? 0 }
})

/** Peers that left in the middle of something are not waited for at the end. */
const limits = { drainTimeout: "1 second", closeTimeout: "1 second" } as const

const judge = ({ grown, longest }: { readonly grown: number; readonly longest: number }) => {
  assert.isBelow(grown, mostGrown)
  // What one turn of the event loop may take.
  assert.isBelow(longest, 500)
}

/** A call of the client to whatever server it has, which may fail in any way, and is given up after half a second. */
const anyCall = (http: HttpClient.HttpClient) =>
  Effect.raceFirst(
    http.post("/ping", { body: HttpBody.text("x".repeat(2000)) }).pipe(
      Effect.flatMap((response) => Stream.runDrain(response.stream)),
      Effect.exit
    ),
    Effect.sleep("500 millis")
  ).pipe(Effect.andThen(Effect.yieldNow))

describe("random conversations", () => {
  it.live("a healthy client is always answered beside random clients of wire v2", (context) =>
    Effect.gen(function*() {
      const hub = yield* startFixture({ limits })
      const child = yield* talker("client", "v2", hub.url)
      judge(yield* measure(context, child, hub, Effect.andThen(hub.healthyCall, Effect.sleep("10 millis"))))
      yield* hub.healthyCall
    }), (seconds + 60) * 1000)

  it.live(
    "healthy clients of both wires are always answered beside random clients of wire v1",
    (context) =>
      Effect.gen(function*() {
        const hub = yield* startV1({ limits })
        const child = yield* talker("client", "v1", hub.url)
        judge(yield* measure(context, child, hub, Effect.andThen(hub.healthyCall, Effect.sleep("10 millis"))))
        yield* hub.healthyCall
      }),
    (seconds + 60) * 1000
  )

  for (const wire of ["v2", "v1"] as const) {
    it.live(
      `calls to random servers of wire ${wire} end or can be interrupted, and the client goes on dialling`,
      (context) =>
        Effect.gen(function*() {
          const child = yield* talker("server", wire)
          const { url } = yield* child.hear<Listening>("listening")
          const far: RawServer = { url, accept: Effect.never, accepted: () => 0, sockets: new Set() }
          const { client, forget, http } = yield* startClient(
            { wire, retry: () => true, serves: true },
            Effect.succeed(far)
          )
          const callBack = Effect.flatMap(Effect.orDie(client.connection), (connection) =>
            anyCall(ApiClient.make(connection)))
          judge(
            yield* measure(
              context,
              child,
              { forget },
              Effect.asVoid(Effect.all([anyCall(http), callBack], { concurrency: 2 }))
            )
          )
          assert.notStrictEqual((yield* client.status)._tag, "Stopped")
        }),
      (seconds + 60) * 1000
    )
  }
})

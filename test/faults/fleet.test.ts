/**
 * A thousand connections from one process: all are called at once, and all are missed when the process is killed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as Stream from "effect/Stream"
import { Hub, layerHub, socketUrl } from "../support/connections.ts"
import { countTags } from "../support/events.ts"
import { fork } from "../support/fork.ts"
import { collectGarbage, report, round, timed } from "../support/measurements.ts"

const count = 1000

const program = (context: Parameters<typeof report>[0]) =>
  Effect.gen(function*() {
    const hub = yield* Hub
    const url = yield* socketUrl
    const events: Array<ConnectionEvent.ConnectionEvent> = []
    const allLost = yield* Deferred.make<void>()
    const isLoss = (event: ConnectionEvent.ConnectionEvent) => event._tag === "ConnectionFailure"
    yield* Effect.forkScoped(Stream.runForEach(hub.events, (event) => {
      events.push(event)
      return isLoss(event) && events.filter(isLoss).length === count
        ? Deferred.succeed(allLost, undefined)
        : Effect.void
    }))
    const seen: Array<number> = []
    const seenEmpty = yield* Deferred.make<void>()
    yield* Effect.forkScoped(Stream.runForEach(hub.changes, (connections) => {
      seen.push(connections.length)
      return connections.length === 0 && seen.length > 1 ? Deferred.succeed(seenEmpty, undefined) : Effect.void
    }))

    yield* collectGarbage
    const rssBefore = process.memoryUsage().rss
    const start = performance.now()
    const child = yield* fork(new URL("children/fleet.ts", import.meta.url), [url, String(count)])
    yield* child.hear("connected")
    const connected = performance.now() - start
    yield* hub.changes.pipe(Stream.filter((connections) => connections.length === count), Stream.runHead)
    yield* collectGarbage
    const rss = process.memoryUsage().rss - rssBefore

    const connections = yield* hub.connections
    const names = connections.map(({ metadata }) => (metadata as { readonly name: number }).name)
    assert.deepStrictEqual([...names].sort((a, b) => a - b), Array.from({ length: count }, (_, name) => name))
    const callAll = Effect.forEach(
      connections,
      (connection) =>
        Effect.flatMap(
          ApiClient.make(connection).post("/name", { body: HttpBody.text(connection.id) }),
          (response) => response.text
        ),
      { concurrency: "unbounded" }
    )
    const expected = connections.map(({ id }, index) => `${names[index]} heard ${id}`)
    assert.deepStrictEqual(yield* callAll, expected)
    const [answers, calling] = yield* timed(callAll)
    assert.deepStrictEqual(answers, expected)
    assert.strictEqual(Math.max(...seen), count)
    assert.strictEqual(events.filter(({ _tag }) => _tag === "ConnectionReceived").length, count)

    child.process.kill("SIGKILL")
    const [, losing] = yield* timed(
      Effect.andThen(Deferred.await(allLost), Deferred.await(seenEmpty)).pipe(Effect.timeoutOption("30 seconds"))
    )
    assert.deepStrictEqual(yield* hub.connections, [])
    assert.strictEqual(seen[seen.length - 1], 0)
    const counts = countTags(events)
    report(context, {
      connectMillis: round(connected),
      callAllMillis: round(calling),
      loseMillis: round(losing),
      rssKiBPerConnection: round(rss / 1024 / count),
      events: counts,
      statesSeen: seen.length
    })
    assert.deepStrictEqual(counts, {
      ConnectionReceived: count,
      ConnectionInterrupted: count,
      ConnectionFailure: count
    })
    const failed = events.filter((event) => event._tag === "ConnectionFailure")
    assert.strictEqual(new Set(failed.map(({ connectionId }) => connectionId)).size, count)
    assert.deepStrictEqual(new Set(failed.map(({ error }) => error.reason._tag)), new Set(["SessionLost"]))
    assert.isBelow(rss / count, 200 * 1024)
  })

describe("connections of one process", () => {
  it.live(
    "1,000 connections from one process are all called at once, and are all lost with the process",
    (context) => Effect.provide(program(context), layerHub({ limits: { resumeWindow: "500 millis" } })),
    180_000
  )
})

/**
 * What a server keeps for hundreds of clients that have lost their links in the middle of everything.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Limits from "effect-swaggersocket/Limits"
import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { bytesOf, MiB } from "../support/bodies.ts"
import { Hub } from "../support/connections.ts"
import { extent } from "../support/extent.ts"
import { fork } from "../support/fork.ts"
import { collectGarbage, heapBytes, report, round } from "../support/measurements.ts"
import { listen, whenAll } from "../support/proxied.ts"
import { eventually, settled } from "../support/waiting.ts"

const count = extent("CLIENTS", 400, 1000)
const KiB = 1024

/** What a connection may have in each of its buffers. */
const limits: Limits.Options & { readonly replayBuffer: number; readonly streamWindow: number } = {
  replayBuffer: 64 * KiB,
  streamWindow: 64 * KiB,
  maxStreamWindow: 64 * KiB,
  sendBuffer: 16 * KiB,
  maxMessageSize: 32 * KiB,
  // Nobody comes back for what is in progress when the server stops.
  drainTimeout: "100 millis"
}

const memory = Effect.map(collectGarbage, () => ({ heap: heapBytes(), rss: process.memoryUsage().rss }))

const because = ({ reason }: SwaggerSocketError): string => reason._tag === "SessionLost" ? reason.because : reason._tag

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

/** Clients that have sent what nobody reads, and were sent what they did not get; then their process is gone. */
const strand = Effect.fnUntraced(function*(options: Limits.Options, interruptedBytes: number = 256 * MiB) {
  // All come from one address.
  const quotas = { perAddress: { interruptedBytes: 1024 * MiB }, server: { interruptedBytes } }
  const { context, hub, proxy } = yield* listen({ limits: { ...limits, ...options }, quotas })
  yield* Layer.build(
    HttpRouter.serve(HttpRouter.add("POST", "/unread", Effect.never), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(Layer.provide(ApiServer.layerServer(Hub)), Layer.provide(Layer.succeed(Hub, Context.get(context, Hub))))
  )
  const events: Record<string, number> = {}
  yield* Effect.forkScoped(
    Stream.runForEach(hub.events, (event) =>
      Effect.sync(() => {
        // Errors keep what was on the stack alive.
        const name = event._tag === "ConnectionFailure" ? because(event.error) : event._tag
        events[name] = (events[name] ?? 0) + 1
      })),
    { startImmediately: true }
  )
  const before = yield* memory
  const child = yield* fork(new URL("children/uploads.ts", import.meta.url), [proxy.url, String(count)])
  yield* child.hear("connected")
  yield* whenAll(hub, count)
  let connections = yield* hub.connections
  const idle = yield* memory

  yield* child.tell({ type: "upload" })
  yield* eventually(() => {
    for (const connection of connections) assert.isAtLeast(peerOf(connection).mux.unreadBytes, limits.streamWindow)
  }, () => sum(connections.map((connection) => peerOf(connection).mux.unreadBytes)))
  // From now on nothing is acknowledged.
  yield* proxy.strike({ _tag: "halfOpen" })
  const sentBefore = connections.map((connection) => peerOf(connection).mux.counters.bytesSent)
  for (const [index, connection] of connections.entries()) {
    yield* Effect.forkScoped(
      Effect.exit(
        ApiClient.make(connection).post("/sink", { body: HttpBody.stream(bytesOf(index, MiB, 8 * KiB)) })
      )
    )
  }
  const sent = () =>
    connections.map((connection, index) => peerOf(connection).mux.counters.bytesSent - sentBefore[index]!)
  yield* eventually(() => assert.isAtLeast(Math.min(...sent()), limits.replayBuffer - 8 * KiB), () => sum(sent()))
  yield* proxy.refuse(true)
  yield* proxy.cut()
  child.process.kill("SIGKILL")
  yield* eventually(
    () => assert.strictEqual(events.ConnectionInterrupted, count),
    () => events.ConnectionInterrupted ?? 0
  )
  // The server looks a moment later for what is too much.
  yield* settled("what is given up", () => events.expired ?? 0)
  const states: Record<string, number> = {}
  for (const { status } of connections) {
    const state = yield* status
    states[state] = (states[state] ?? 0) + 1
  }
  const sentEach = { least: Math.min(...sent()) / KiB, most: Math.max(...sent()) / KiB }
  // What is over must not be kept by the test.
  connections = []
  return { before, idle, interrupted: yield* memory, left: (yield* hub.connections).length, states, events, sentEach }
})

describe("interrupted connections", () => {
  it.live(
    `each of ${count} interrupted connections keeps what its buffers may hold, and no more`,
    (context) =>
      Effect.gen(function*() {
        const { before, idle, interrupted, left, sentEach, states } = yield* strand({})
        const each = (from: typeof before, what: "heap" | "rss") => (interrupted[what] - from[what]) / count / KiB
        const kept = (limits.streamWindow + limits.replayBuffer) / KiB
        report(context, {
          keptKiBEach: kept,
          heapKiBEach: round(each(before, "heap")),
          heapKiBEachAboveIdle: round(each(idle, "heap")),
          idleHeapKiBEach: round((idle.heap - before.heap) / count / KiB),
          rssKiBEach: round(each(before, "rss")),
          sentKiBEach: sentEach
        })
        assert.deepStrictEqual([left, states], [count, { interrupted: count }])
        // Something is kept at all.
        assert.isAbove(each(idle, "heap"), kept * 0.8)
        // One message beyond the replay buffer, the send buffer with a piece of the body, and both calls.
        assert.isBelow(each(idle, "heap"), kept + 32 + 16 + 8 + 16)
      }),
    180_000
  )

  it.live(
    `${count} interrupted connections together keep no more than the quota of the server allows`,
    (context) =>
      Effect.gen(function*() {
        // A fourth of what they would keep.
        const most = count * 32 * KiB
        const { before, events, idle, interrupted, left, states } = yield* strand({}, most)
        report(context, {
          heapMiB: round((interrupted.heap - before.heap) / MiB),
          idleHeapMiB: round((idle.heap - before.heap) / MiB),
          rssMiB: round((interrupted.rss - before.rss) / MiB),
          states,
          events
        })
        const each = limits.replayBuffer + limits.streamWindow
        assert.isAtMost(left * each, most)
        assert.isAbove(left * each * 2, most)
        assert.deepStrictEqual(states, { interrupted: left, closed: count - left })
        const { QuotaExceeded = 0, ...others } = events
        assert.isAbove(QuotaExceeded, 0)
        assert.deepStrictEqual(others, {
          ConnectionReceived: count,
          ConnectionInterrupted: count,
          expired: count - left
        })
        // Messages beyond the replay buffers are not counted, nor are parts of bodies that their writers hold.
        assert.isBelow(interrupted.heap - before.heap, most + left * 80 * KiB + 8 * MiB)
      }),
    180_000
  )
})

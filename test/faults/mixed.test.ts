/**
 * Calls of all kinds in both API directions on one connection whose links break again and again, at random.
 *
 * `FAULTS=2000` breaks that many links; `FAULTS=100000` those of 50 connections, two at a time, within an hour.
 * `FAULTS_SEED` repeats a run.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Planned } from "effect-swaggersocket/testing/FaultProxy"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { MiB } from "../support/bodies.ts"
import { type Ends, roles, serveRoutes } from "../support/connections.ts"
import { assertIdle } from "../support/credit.ts"
import { countTags, type Event } from "../support/events.ts"
import { report, round, timed } from "../support/measurements.ts"
import { assertResumed, join, planFromHere } from "../support/proxied.ts"
import { eventually } from "../support/waiting.ts"
import { faults, faultsOf, Random, seed, troublesOf } from "./random.ts"
import { anyCall, long, makeApi, once } from "./traffic.ts"

/** Seeds that have found something. */
const regressions: ReadonlyArray<number> = []

const sides = ["server", "client"] as const

/** Callers of each API direction. */
const callers = 4

/** Links of one connection are broken up to so many times; for more there are more connections. */
const mostPerConnection = 2000

/** Connections at once. With ten, heartbeats that wait for 0.4 seconds found links dead that were only slow. */
const concurrency = 2

const silence = { interval: "500 millis", timeout: "400 millis" } as const

/** Calls on both ends until `done`, all of which must succeed; checks that each was executed once and left nothing. */
const converse = Effect.fnUntraced(function*(ends: Ends, random: Random, done: () => boolean) {
  const apis = { server: makeApi(), client: makeApi() }
  for (const side of sides) yield* serveRoutes(ends[side], apis[side].routes)
  const made: Record<string, number> = {}
  const asked = { server: 0, client: 0 }
  const call = (side: typeof sides[number], random: Random) => {
    const { api } = roles(ends, side)
    const nextId = () => String(asked[side]++)
    return Effect.gen(function*() {
      while (!done()) {
        // What hangs fails, rather than the whole test.
        const kind = yield* Effect.timeout(anyCall(api, random, nextId), "60 seconds")
        made[kind] = (made[kind] ?? 0) + 1
      }
    })
  }
  const [, millis] = yield* timed(Effect.all(
    sides.flatMap((side) => Array.from({ length: callers }, () => call(side, new Random(random.int(2 ** 32))))),
    { concurrency: "unbounded" }
  ))
  yield* assertIdle(ends)
  // A PING brings an ACK of all.
  for (const side of sides) peerOf(ends[side]).mux.ping(new Uint8Array(0))
  yield* eventually(() => {
    for (const side of sides) assert.strictEqual(peerOf(ends[side]).session?.bytes, 0, `${side} keeps messages`)
  })
  for (const side of sides) {
    const { executions, handlers } = apis[side]
    assert.deepStrictEqual(
      [...executions].sort(([a], [b]) => Number(a) - Number(b)),
      Array.from({ length: asked[side] }, (_, id) => [String(id), 1])
    )
    yield* eventually(() => assert.strictEqual(handlers.ended, handlers.started))
  }
  return { seconds: round(millis / 1000), calls: made }
})

/** Mixed traffic on a connection whose links break so many times: each call has been executed and answered once. */
const broken = Effect.fnUntraced(function*(random: Random, count: number) {
  const reach = { bytes: random.pick([64 * 1024, MiB]), silence: 0.03 }
  const makeLimits = () => ({
    handshakeTimeout: "1 second",
    replayBuffer: random.pick([32 * 1024, 100_000, MiB]),
    maxMessageSize: random.pick([32 * 1024, 64 * 1024])
  } as const)
  const [limits, clientLimits] = [makeLimits(), makeLimits()]
  const { ends, events, leave, proxy } = yield* join({
    heartbeat: silence,
    limits,
    clientLimits,
    faults: (_, proxy) => proxy.broken < count ? faultsOf(random, reach) : []
  })
  planFromHere(proxy.links[0]!, faultsOf(random, reach))
  const result = yield* converse(ends, random, () => proxy.broken >= count)
  yield* eventually(() => {
    for (const side of sides) assertResumed(events[side], ends[side])
  })
  for (const side of sides) assert.strictEqual(yield* ends[side].status, "open")
  const replayed = (side: typeof sides[number]) =>
    events[side].reduce((sum, event) => event._tag === "ConnectionResumed" ? sum + event.replayed : sum, 0)
  assert.isAtLeast(proxy.broken, count)
  const [resumed, resumedAtServer] = [events.client.length, events.server.length]
  const resumptions = assertResumed(events.client, ends.client)
  assert.isAbove(resumptions, 0)
  yield* leave
  // Goodbye is said: neither end takes it for the loss of a link.
  assert.deepStrictEqual([events.client.length, events.server.length], [resumed + 1, resumedAtServer + 1])
  return {
    ...result,
    reach: reach.bytes,
    replayBuffers: { client: clientLimits.replayBuffer, server: limits.replayBuffer },
    faults: proxy.struck,
    broken: proxy.broken,
    links: proxy.attempts.length,
    resumed: resumptions,
    mib: { up: round(proxy.bytes("up") / MiB), down: round(proxy.bytes("down") / MiB) },
    replayed: { client: replayed("client"), server: replayed("server") },
    client: countTags(events.client),
    server: countTags(events.server)
  }
})

/** The sums of several connections. */
const together = (results: ReadonlyArray<Effect.Success<ReturnType<typeof broken>>>) => {
  const sum = (of: (result: typeof results[number]) => number) => results.reduce((sum, each) => sum + of(each), 0)
  return {
    connections: results.length,
    seconds: Math.max(...results.map(({ seconds }) => seconds)),
    calls: sum(({ calls }) => Object.values(calls).reduce((sum, count) => sum + count, 0)),
    broken: sum(({ broken }) => broken),
    links: sum(({ links }) => links),
    resumed: sum(({ resumed }) => resumed),
    mib: round(sum(({ mib }) => mib.up + mib.down)),
    replayed: sum(({ replayed }) => replayed.client + replayed.server)
  }
}

describe("mixed traffic", () => {
  it.live(
    `mixed traffic is not disturbed by stalls, delays and pieces, FAULTS_SEED=${seed}`,
    (context) =>
      Effect.gen(function*() {
        const random = new Random(seed)
        const { ends, events, leave, proxy } = yield* join({})
        planFromHere(proxy.links[0]!, troublesOf(random, { bytes: 4 * MiB }, 15))
        const enough = () => Math.min(proxy.bytes("up"), proxy.bytes("down")) > 5 * MiB
        const result = yield* converse(ends, random, enough)
        report(context, { ...result, faults: proxy.struck })
        assert.strictEqual(proxy.struck.stall + proxy.struck.delay + proxy.struck.fragment, 15)
        for (const side of sides) assert.deepStrictEqual(countTags(events[side]), { ConnectionReceived: 1 })
        yield* leave
      }),
    60_000
  )

  for (const seed_ of [...regressions, seed]) {
    const count = seed_ === seed ? faults : 60
    const connections = Math.ceil(count / mostPerConnection)
    const each = Math.ceil(count / connections)
    it.live(
      `mixed traffic over ${
        connections * each
      } broken links executes and answers every call once, FAULTS_SEED=${seed_}`,
      (context) =>
        Effect.gen(function*() {
          const results = yield* Effect.all(
            Array.from({ length: connections }, (_, index) =>
              Effect.tap(
                Effect.scoped(broken(new Random(seed_ + index), each)),
                // A long run tells how far it has come.
                (result) => Effect.sync(() => report(context, result))
              )),
            { concurrency }
          )
          if (results.length > 1) report(context, together(results))
        }),
      120_000 + 1000 * count
    )
  }
})

describe("silent links", () => {
  for (const directions of [["up"], ["down"], ["up", "down"]] as const) {
    for (const beats of ["both ends", "the client"] as const) {
      it.live(`a link silent ${directions.join(" and ")} is found by the heartbeat of ${beats}, and no call fails`, (context) =>
        Effect.gen(function*() {
          const { ends, events, leave, proxy } = yield* join(
            beats === "both ends" ? { heartbeat: silence } : { clientHeartbeat: silence }
          )
          const apis = { server: makeApi(), client: makeApi() }
          for (const side of sides) yield* serveRoutes(ends[side], apis[side].routes)
          yield* proxy.strike({ _tag: "halfOpen", directions })
          const calls = sides.flatMap((side) => {
            const { api } = roles(ends, side)
            return Array.from({ length: 20 }, (_, id) => Effect.timeout(once(api, String(id), "body"), "20 seconds"))
          })
          const [, millis] = yield* timed(Effect.all(calls, { concurrency: "unbounded" }))
          yield* assertIdle(ends)
          for (const side of sides) {
            assert.deepStrictEqual([...apis[side].executions.values()], Array<number>(20).fill(1))
            assert.strictEqual(assertResumed(events[side], ends[side]), 1)
          }
          const reasons = { client: reasonOf(events.client), server: reasonOf(events.server) }
          report(context, { millis: round(millis), reasons })
          // Without a heartbeat of its own the server learns it from the client's close, or from the link that takes the other's place.
          if (beats === "the client") {
            const server = directions.some((direction) => direction === "up") ? "LinkError" : "ProtocolViolation"
            assert.deepStrictEqual(reasons, { client: "HeartbeatTimeout", server })
          }
          yield* leave
        }))
    }
  }
})

/** Why an end was interrupted. */
const reasonOf = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) => event._tag === "ConnectionInterrupted" ? [event.error.reason._tag] : []).join()

describe("cuts in a row", () => {
  const cuts = 200
  for (const [index, kind] of (["download", "upload", "both"] as const).entries()) {
    for (const side of faults >= 2000 ? sides : [sides[index % 2]!]) {
      it.live(
        `one ${kind === "both" ? "call that streams both ways" : kind} is whole after 200 cuts, API on the ${side}`,
        (context) =>
          Effect.gen(function*() {
            const random = new Random(seed)
            const cut = (): ReadonlyArray<Planned> => [{
              direction: (kind === "upload") === (side === "server") ? "up" : "down",
              at: random.int(64 * 1024),
              fault: { _tag: "cut", how: random.pick(["reset", "end"] as const) }
            }]
            const { ends, events, leave, proxy } = yield* join({
              faults: (_, proxy) => proxy.broken < cuts ? cut() : []
            })
            const more = () => proxy.broken < cuts
            const hash = createHash("sha256")
            const { api, serving } = roles(ends, side)
            yield* serveRoutes(serving, long[kind].routes(more, hash))
            const [, millis] = yield* timed(Effect.gen(function*() {
              planFromHere(proxy.links[0]!, cut())
              yield* Effect.timeout(long[kind].call(api, more, hash), "60 seconds")
            }))
            yield* assertIdle(ends)
            yield* eventually(() => {
              for (const side of sides) assertResumed(events[side], ends[side])
            })
            report(context, {
              seconds: round(millis / 1000),
              links: proxy.attempts.length,
              mib: { up: round(proxy.bytes("up") / MiB), down: round(proxy.bytes("down") / MiB) },
              client: countTags(events.client),
              server: countTags(events.server)
            })
            assert.strictEqual(proxy.broken, cuts)
            yield* leave
          }),
        90_000
      )
    }
  }
})

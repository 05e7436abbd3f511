/**
 * Floods of calls, from one connection or many: each quota stops the one that exceeds it, and nobody else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { Answers, exceededCount, from, honestVisits } from "../support/flood.ts"
import { request, reset } from "../support/frames.ts"
import { type Fixture, type HubOptions, startFixture } from "../support/hubUnderAttack.ts"
import type { RawPeer } from "../support/rawPeer.ts"
import { eventually, until } from "../support/waiting.ts"

/** Everybody has an address of its own, which is its principal as well. */
const flooded = (
  title: string,
  options: HubOptions,
  body: (hub: Fixture, answers: Answers) => Effect.Effect<unknown, unknown, Scope.Scope>
) =>
  it.live(title, () =>
    Effect.scoped(Effect.gen(function*() {
      const hub = yield* startFixture({
        addressOf: Quotas.forwardedAddress(),
        authenticate: ({ headers }) => Effect.succeed(headers["x-forwarded-for"] ?? "healthy"),
        ...options
      })
      yield* body(hub, new Answers())
      yield* hub.healthyCall
    })).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

const attacker = "6.6.6.6"

const connect = (hub: Fixture, address: string) => Effect.tap(hub.dial(from(address)), (peer) => peer.handshake())

/** The statuses of all answers so far. */
const statuses = (peers: ReadonlyArray<RawPeer>): ReadonlyArray<number> =>
  peers.flatMap(({ log }) =>
    log.flatMap((event) => event._tag === "Frame" && event.frame._tag === "Response" ? [event.frame.status] : [])
  )

const count = (answers: Answers, peers: ReadonlyArray<RawPeer>): void => {
  for (const status of statuses(peers)) answers.add(status)
}

/** Calls without end, fifty at a time. */
const floodOfCalls = (peer: RawPeer, answers: Answers): Effect.Effect<never> => {
  let next = 1
  return Effect.forever(Effect.gen(function*() {
    const ids = Array.from({ length: 50 }, (_, index) => next + 2 * index)
    next += 100
    for (const id of ids) peer.sendNow(request(id, "/empty"))
    for (const _ of ids) {
      const status = yield* peer.take(
        "a response",
        (event) => event._tag === "Frame" && event.frame._tag === "Response" ? event.frame.status : "skip"
      )
      answers.add(status)
    }
  }))
}

describe("calls in progress", () => {
  for (const holder of ["address", "principal"] as const) {
    flooded(
      `handlers that run on after their calls were reset and their connections closed count for their ${holder}`,
      { quotas: { [holder === "address" ? "perAddress" : "perPrincipal"]: { calls: 10 } } },
      (hub, answers) =>
        Effect.gen(function*() {
          const peers: Array<RawPeer> = []
          for (let n = 0; n < 4; n++) {
            const peer = yield* connect(hub, attacker)
            for (let id = 1; id < 20; id += 2) peer.sendNow(request(id, "/stubborn"))
            peers.push(peer)
          }
          yield* eventually(() => assert.lengthOf(statuses(peers), 30), () => statuses(peers).length)
          // All of the handlers are those of the first connection, as it came first.
          for (let id = 1; id < 20; id += 2) peers[0]!.sendNow(reset(id, "CANCELLED"))
          yield* peers[0]!.expectAlivePassing()
          count(answers, peers)
          assert.deepStrictEqual(answers.counts, { 429: 30 })
          assert.strictEqual(hub.seen.stubborn, 10)
          const told = yield* hub.expectEvent("QuotaExceeded")
          assert.deepInclude(told, { quota: "calls", holder, count: 1 })
          assert.strictEqual(yield* exceededCount("calls", holder), 30)
          for (const peer of peers) yield* peer.close(1000)
          const again = yield* connect(hub, attacker)
          yield* again.sendFrames(request(1, "/ping", { method: "POST", end: false }))
          const answer = yield* again.expectResponse(1)
          assert.deepInclude(answer, { status: 429 })
          assert.deepInclude(answer.fields, ["retry-after", "1"])
          yield* again.expectReset(1, "NO_ERROR")
          yield* honestVisits(hub, `calls in progress of one ${holder}`, answers, 10)
          yield* Deferred.succeed(hub.seen.release, undefined)
          yield* until("the handlers end", () => hub.seen.stubborn === 0)
          yield* again.expectAlive(3)
        })
    )
  }

  flooded(
    "one address can't use up the calls of a server: there is always room for others",
    { quotas: { server: { calls: 20 } } },
    (hub, answers) =>
      Effect.gen(function*() {
        const peer = yield* connect(hub, attacker)
        for (let id = 1; id <= 39; id += 2) peer.sendNow(request(id, "/never"))
        yield* eventually(() => assert.lengthOf(statuses([peer]), 10))
        const other = yield* connect(hub, "6.6.6.7")
        for (let id = 1; id <= 39; id += 2) other.sendNow(request(id, "/never"))
        yield* eventually(() => assert.lengthOf(statuses([other]), 15))
        count(answers, [peer, other])
        assert.deepStrictEqual(answers.counts, { 503: 25 })
        yield* honestVisits(hub, "calls in progress of a server", answers, 10)
      })
  )
})

describe("calls a second", () => {
  for (const holder of ["address", "principal"] as const) {
    flooded(
      `a flood of calls of one ${holder} is answered 429, and others are served`,
      {
        quotas: {
          [holder === "address" ? "perAddress" : "perPrincipal"]: { callsPerSecond: 1, callBurst: 100 }
        }
      },
      (hub, answers) =>
        Effect.gen(function*() {
          for (let n = 0; n < 2; n++) yield* Effect.forkScoped(floodOfCalls(yield* connect(hub, attacker), answers))
          yield* honestVisits(hub, `calls a second of one ${holder}`, answers, 20)
          yield* until("the flood is answered 429", () => answers.of(429) > 100)
          assert.strictEqual(answers.of(204) + answers.of(429), answers.total)
          assert.isAtLeast(answers.of(204), 100)
          assert.deepInclude(yield* hub.expectEvent("QuotaExceeded"), { quota: "callsPerSecond", holder })
        })
    )
  }
})

/**
 * Peers that use up a limit of their connection: what they are answered is told in a metric and as an event, which names the
 * connection, and others are served meanwhile.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { LimitName } from "../../src/internal/quota/limits.ts"
import { Answers, exceededCount, honestVisits } from "../support/flood.ts"
import { startFixture } from "../support/hubUnderAttack.ts"
import { limitFloods } from "../support/limitFloods.ts"
import { until } from "../support/waiting.ts"

for (const name of Object.keys(limitFloods) as ReadonlyArray<LimitName>) {
  it.live(`a peer that exceeds ${name} is answered, and told of in an event and in the metric`, () =>
    Effect.scoped(Effect.gen(function*() {
      const { answer, answered, hello, limits, send } = limitFloods[name]
      const hub = yield* startFixture({ limits })
      const peer = yield* hub.connect(hello)
      const { connectionId, remoteAddress } = yield* hub.expectEvent("ConnectionReceived")
      yield* send(peer, hub)
      yield* answer(peer, hub)
      const answers = new Answers()
      answers.add(answered)
      yield* honestVisits(hub, `limit ${name}`, answers, 10)
      const told = () => hub.events().filter((event) => event._tag === "QuotaExceeded")
      yield* until("it is told", () => told().length > 0)
      const [{ address, connectionId: whose, holder, quota }] = told() as [ReturnType<typeof told>[number]]
      assert.deepStrictEqual([quota, holder, whose], [name, "connection", connectionId])
      assert.strictEqual(address, remoteAddress)
      assert.isAtLeast(yield* exceededCount(name, "connection"), 1)
      yield* hub.healthyCall
    })).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
}

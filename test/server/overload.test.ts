/**
 * Which calls a server refuses when it has more of them than time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import { Holder } from "../../src/internal/quota/holder.ts"
import { Party, type Told } from "../../src/internal/quota/party.ts"
import { Overload } from "../../src/internal/server/overload.ts"

const make = () => {
  const state = { behindSince: undefined as number | undefined, waited: 0, now: 0 }
  const refused: Array<Told> = []
  const holder = (kind: "address" | "server") =>
    new Holder(kind, kind, kind === "server" ? Quotas.defaults.server : {}, () => state.now, () => {})
  const server = holder("server")
  const overload = new Overload(server, {
    isBehindSince: () => state.behindSince,
    waitedFor: () => state.waited,
    now: () => state.now
  })
  const party = () => new Party([holder("address"), server], (exceeded) => refused.push(exceeded))
  return { state, refused, overload, party }
}

/** So many calls of each, in turn; answers how many of each are served. */
const servedOf = (overload: Overload, calls: ReadonlyArray<readonly [party: Party, count: number]>) => {
  const left = calls.map(([, count]) => count)
  const served = calls.map(() => 0)
  while (left.some((count) => count > 0)) {
    for (const [index, [party]] of calls.entries()) {
      if (left[index]! <= 0) continue
      left[index]!--
      if (!overload.refuses(party)) served[index]!++
    }
  }
  return served
}

describe("overload", () => {
  it("a call that has waited long is served while the process has not been behind for a second", () => {
    const { overload, party, state } = make()
    state.waited = 10_000
    assert.isFalse(overload.refuses(party()))
    state.behindSince = 0
    state.now = 999
    assert.isFalse(overload.refuses(party()))
  })

  it("a late call is refused once that has lasted, and for a second after; the metric of `callDelay` counts it", () => {
    const { overload, party, refused, state } = make()
    const one = party()
    Object.assign(state, { behindSince: 0, now: 1000, waited: 0 })
    assert.deepStrictEqual(servedOf(overload, [[one, 100], [party(), 100]]), [100, 100])
    state.waited = 501
    assert.isTrue(overload.refuses(one))
    assert.deepStrictEqual(refused.map(({ holder, quota }) => [holder.kind, quota]), [["server", "callDelay"]])
    state.waited = 500
    assert.isFalse(overload.refuses(one))
    Object.assign(state, { behindSince: undefined, now: 1900, waited: 501 })
    assert.isFalse(overload.refuses(party()), "it may be alone")
    assert.deepStrictEqual(servedOf(overload, [[one, 5]]), [1])
    state.now = 2950
    assert.isFalse(overload.refuses(one))
  })

  it("a late call is served when the last refusal is a second ago, and nobody is behind any more", () => {
    const { overload, party, state } = make()
    const one = party()
    Object.assign(state, { behindSince: 0, now: 1000, waited: 0 })
    const other = party()
    servedOf(overload, [[one, 100], [other, 100]])
    state.waited = 2000
    assert.isTrue(overload.refuses(one))
    Object.assign(state, { behindSince: undefined, now: 2000 })
    assert.deepStrictEqual(servedOf(overload, [[one, 10], [other, 10]]), [10, 10])
  })

  it("a connection that is alone is not refused, however late its calls are", () => {
    const { overload, party, state } = make()
    Object.assign(state, { behindSince: 0, now: 5000, waited: 10_000 })
    assert.deepStrictEqual(servedOf(overload, [[party(), 100]]), [100])
  })

  it("who was served less than half of what others were goes on being served, until the call is twice as late", () => {
    const { overload, party, state } = make()
    const [greedy, modest] = [party(), party()]
    Object.assign(state, { behindSince: 0, now: 1000, waited: 200 })
    assert.deepStrictEqual(servedOf(overload, [[greedy, 100], [modest, 10]]), [100, 10])
    state.waited = 600
    assert.deepStrictEqual(servedOf(overload, [[greedy, 100], [modest, 10]]), [0, 10])
    state.waited = 1001
    assert.deepStrictEqual(servedOf(overload, [[modest, 10]]), [0])
  })
})

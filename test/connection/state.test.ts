/**
 * Every state of a connection that can be reached, and where each event leads from it.
 */
import { assert, describe, it } from "@effect/vitest"
import { closedLocally } from "../../src/internal/connection/endErrors.ts"
import * as state from "../../src/internal/connection/state.ts"
import type { State } from "../../src/internal/connection/state.ts"
import type { Link } from "../../src/internal/link/link.ts"

const link = { name: "a link" } as unknown as Link
const nextLink = { name: "the next link" } as unknown as Link
const fault = closedLocally(4001, "a fault that the peer has found")
const farewell = { code: 1000, reason: "done" }
const end = { _tag: "Failed", error: fault } as const

const events = {
  attach: (from: State) => state.attach(from, from.link === link ? nextLink : link),
  detach: state.detach,
  interrupt: state.interrupt,
  retire: state.retire,
  drain: state.drain,
  accuse: (from: State) => state.accuse(from, fault),
  leave: (from: State) => state.leave(from, farewell),
  expel: (from: State) => state.expel(from, farewell),
  fail: state.fail,
  close: (from: State) => state.close(from, end)
}

type Event = keyof typeof events

const names = Object.keys(events) as ReadonlyArray<Event>

/** Which state an event leads to. Events that are not named leave the state as it is, but for `drain` of its members. */
const table: Readonly<Record<State["_tag"], Readonly<Partial<Record<Event, State["_tag"]>>>>> = {
  Unlinked: {
    attach: "Linked",
    accuse: "Accused",
    leave: "Leaving",
    expel: "Expelled",
    fail: "Failing",
    close: "Closed"
  },
  Linked: {
    detach: "Unlinked",
    interrupt: "Unlinked",
    accuse: "Accused",
    leave: "Leaving",
    expel: "Expelled",
    fail: "Failing",
    close: "Closed"
  },
  Accused: {
    attach: "Linked",
    interrupt: "Unlinked",
    leave: "Leaving",
    expel: "Expelled",
    fail: "Failing",
    close: "Closed"
  },
  Leaving: { close: "Closed" },
  Expelled: { close: "Closed" },
  Failing: { close: "Closed" },
  Closed: {}
}

const keyOf = ({ _tag, drain, link: on }: State): string =>
  `${_tag}, drain: ${drain}, ${on === undefined ? "no link" : "a link"}`

/** One state of each kind that can be reached, by what it is. */
const reachable = (): ReadonlyMap<string, State> => {
  const found = new Map<string, State>([[keyOf(state.initial), state.initial]])
  for (const from of found.values()) {
    for (const name of names) {
      const to = events[name](from)
      if (!found.has(keyOf(to))) found.set(keyOf(to), to)
    }
  }
  return found
}

const states = reachable()

/** What a state has besides its link and its drain. */
const restOf = (from: State) => ({ ...from, drain: undefined, link: undefined })

describe("the state of a connection", () => {
  it("a connection reaches these states and no others", () => {
    const linkless = ["Unlinked", "Accused", "Leaving", "Expelled", "Failing", "Closed"]
    const linked = ["Linked", "Accused", "Leaving", "Expelled"]
    const expected = [
      ...linkless.map((tag) => [tag, "no link"] as const),
      ...linked.map((tag) => [tag, "a link"] as const)
    ].flatMap(([tag, on]) => {
      const drains = tag === "Accused" ? ["peer", "own"] : ["none", "peer", "own"]
      return drains.map((drain) => `${tag}, drain: ${drain}, ${on}`)
    })
    assert.deepStrictEqual([...states.keys()].sort(), expected.sort())
  })

  for (const [key, from] of states) {
    it(`${key}: each event leads where the table says`, () => {
      for (const name of names) {
        const to = events[name](from)
        assert.strictEqual(to._tag, table[from._tag][name] ?? from._tag, name)
        if (to._tag === from._tag) assert.deepStrictEqual(restOf(to), restOf(from), `${name} keeps what the state has`)
      }
    })

    it(`${key}: an event that changes nothing answers the same object`, () => {
      for (const name of names) {
        const to = events[name](from)
        assert.strictEqual(to === from, keyOf(to) === keyOf(from) && to.link === from.link, name)
      }
    })

    it(`${key}: only attach brings a link, and who has drained the connection stays known`, () => {
      const order = ["none", "peer", "own"]
      for (const name of names) {
        const to = events[name](from)
        if (name !== "attach" && to.link !== undefined) assert.strictEqual(to.link, from.link, name)
        assert.isAtLeast(order.indexOf(to.drain), order.indexOf(from.drain), name)
      }
      assert.strictEqual(state.drain(from).drain, "own")
    })
  }

  it("a link that comes is the one in use, unless this end closes the connection", () => {
    for (const [key, from] of states) {
      assert.strictEqual(state.attach(from, nextLink).link, state.isEnding(from) ? from.link : nextLink, key)
    }
  })

  it("the link is gone after detach, interrupt and close, in every state", () => {
    for (const [key, from] of states) {
      for (const to of [state.detach(from), state.interrupt(from), state.close(from, end)]) {
        assert.isUndefined(to.link, key)
      }
    }
  })

  it("GOAWAY of the peer counts while the connection is open, and a fault counts once", () => {
    const linked = state.attach(state.initial, link)
    assert.strictEqual(state.retire(linked).drain, "peer")
    const accused = state.accuse(linked, fault)
    assert.deepInclude(accused, { _tag: "Accused", fault, drain: "peer" })
    assert.strictEqual(state.accuse(accused, closedLocally(4002, "another fault")), accused)
    assert.strictEqual(state.retire(accused), accused)
    assert.deepInclude(state.accuse(state.drain(linked), fault), { drain: "own" })
  })

  it("the first way in which this end closes the connection is the one that counts", () => {
    const linked = state.attach(state.initial, link)
    const other = { code: 4321, reason: "too late" }
    for (const first of [state.leave(linked, farewell), state.expel(linked, farewell)]) {
      assert.deepInclude(first, { farewell })
      assert.strictEqual(state.fail(state.expel(state.leave(first, other), other)), first)
      assert.isTrue(state.isEnding(first))
    }
  })

  it("nothing more is taken from the link once this end has found a fault, or is closed", () => {
    for (const [key, from] of states) {
      if (from._tag === "Failing" || from._tag === "Closed") assert.isUndefined(from.link, key)
    }
  })

  it("users see the status of each state", () => {
    const seen = [...states].map(([key, from]) => `${key}: ${state.statusOf(from)}`)
    const expected = [...states].map(([key, { _tag, drain, link: on }]) => {
      if (_tag === "Closed") return `${key}: closed`
      if (_tag === "Leaving" || _tag === "Failing") return `${key}: closing`
      if (on === undefined) return `${key}: interrupted`
      return `${key}: ${drain === "none" ? "open" : "draining"}`
    })
    assert.deepStrictEqual(seen, expected)
  })

  it("requests are taken until an end drains, accuses or closes the connection, with and without a link", () => {
    const taking = [...states].filter(([, from]) => state.takesRequests(from)).map(([key]) => key)
    assert.deepStrictEqual(taking.sort(), ["Linked, drain: none, a link", "Unlinked, drain: none, no link"])
  })
})

/**
 * The states of a stream: which exist, and that every transition leads to one of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { accepted, requested, type StreamState } from "../../src/internal/streams/state.ts"

const events = [
  "headSent",
  "written",
  "endSent",
  "headReceived",
  "endReceived",
  "handlerBegun",
  "handlerDone",
  "closed",
  "failed"
] as const

const reachable = (...from: ReadonlyArray<StreamState>): ReadonlySet<StreamState> => {
  const found = new Set<StreamState>()
  const visit = (state: StreamState | undefined): void => {
    if (state === undefined || found.has(state)) return
    found.add(state)
    for (const event of events) visit(state[event])
  }
  from.forEach(visit)
  return found
}

describe("states of a stream", () => {
  const states = [...reachable(requested, accepted)]

  it("a stream has a head to send or a head to receive, never both", () => {
    assert.isEmpty(states.filter(({ local, remote }) => local === "head" && remote === "head"))
    assert.isEmpty([...reachable(requested)].filter(({ local }) => local === "head"))
    assert.isEmpty([...reachable(accepted)].filter(({ remote }) => remote === "head"))
  })

  it("a handler lingers only on a stream that is closed", () => {
    const lingering = states.filter(({ handler }) => handler === "lingering")
    assert.deepStrictEqual(lingering.map(({ local, remote }) => [local, remote]), [["end", "end"]])
  })

  it("no transition goes back, in either direction or of the handler", () => {
    const order = {
      local: ["head", "body", "ending", "end"],
      remote: ["head", "body", "end"],
      handler: ["none", "running", "lingering", "done"]
    }
    for (const state of states) {
      for (const event of events) {
        const next = state[event]
        if (next === undefined) continue
        for (const part of ["local", "remote", "handler"] as const) {
          assert.isAtLeast(order[part].indexOf(next[part]), order[part].indexOf(state[part]), `${part} on ${event}`)
        }
        assert.strictEqual(next.isClosed, next.local === "end" && next.remote === "end")
      }
    }
  })

  it("only a peer that has not ended may end, and only one that owes a head may send it", () => {
    for (const state of states) {
      assert.strictEqual(state.headReceived?.remote, state.remote === "head" ? "body" : undefined)
      assert.strictEqual(state.endReceived?.remote, state.remote === "body" ? "end" : undefined)
    }
  })

  it("closed and failed lead to the end of both directions from every state, and streams share the states", () => {
    for (const state of states) {
      assert.isTrue(state.closed.isClosed && state.failed.isClosed)
      assert.strictEqual(state.failed, state.closed.failed)
      assert.strictEqual(state.failed.handler, state.handler === "running" ? "lingering" : state.handler)
    }
    assert.isAtMost(states.length, 34)
  })
})

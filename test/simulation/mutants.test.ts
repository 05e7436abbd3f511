/**
 * A simulator that finds nothing says nothing: faults that were once in the package are put back, and it has to find them.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { KeptSession } from "../../src/internal/server/keptSession.ts"
import type { Plan } from "./plan.ts"
import { run } from "./run.ts"
import { shrink } from "./shrink.ts"

const undo: Array<() => void> = []
afterEach(() => {
  for (const each of undo.splice(0)) each()
})

/** Replaces a method, until the test ends. */
const mutate = <Name extends "isSuperseded" | "superseded">(
  name: Name,
  mutant: KeptSession<unknown, unknown>[Name]
): void => {
  const before = KeptSession.prototype[name]
  KeptSession.prototype[name] = mutant
  undo.push(() => {
    KeptSession.prototype[name] = before
  })
}

const none = { size: 0, piece: 1, pause: 0 }

/**
 * An attempt to resume whose link breaks while it is authenticated, and only the client notices; its authentication ends between
 * the welcome and the ready of the next attempt, when its token is still valid.
 */
const lateAuthentication: Plan = {
  seed: 1,
  wire: "v2",
  clients: 1,
  budget: 2048,
  slowness: 0,
  conditions: { latency: 1000, jitter: 0, rate: 1000 },
  limits: { client: {}, server: {} },
  onSameIdentity: "keep-both",
  calls: [],
  events: [
    { _tag: "cut", at: 10_000, client: 0, tells: ["up", "down"] },
    { _tag: "cut", at: 15_000, client: 0, tells: ["down"] }
  ],
  authentications: [
    { delay: 0, ends: "succeeds" },
    { delay: 6200, ends: "succeeds" }
  ],
  metadata: [],
  end: 30_000
}

/** A first link that breaks when the client has sent its ready, and only the client notices. */
const lostReady: Plan = {
  ...lateAuthentication,
  conditions: { latency: 1000, jitter: 0, rate: 1000 },
  calls: [{
    at: 0,
    client: 0,
    from: "client",
    method: "GET",
    request: none,
    handling: { reading: { pause: 0 }, delay: 0, ends: "answers", isInterruptible: true },
    response: none,
    reading: { pause: 0 }
  }],
  events: [{ _tag: "cut", at: 4500, client: 0, tells: ["down"] }],
  authentications: []
}

describe("mutants", () => {
  it("an attempt that is authenticated late takes the connection from the newest link, if attempts have no numbers", async () => {
    assert.deepStrictEqual((await run(lateAuthentication)).faults, [])
    mutate("isSuperseded", () => false)
    const { faults } = await run(lateAuthentication)
    assert.match(faults.join(), /REPLACED/)
    // What has nothing to do with it is taken away.
    const { plan } = await shrink({ ...lateAuthentication, calls: lostReady.calls })
    assert.deepStrictEqual([plan.calls.length, plan.events.length], [0, 2])
  })

  it("a connection whose first ready is lost ends while the client resumes it, if the server goes on waiting for that", async () => {
    assert.deepStrictEqual((await run(lostReady)).faults, [])
    mutate("superseded", () => Effect.never)
    const { faults } = await run(lostReady)
    assert.match(faults.join(), /is rejected, and has not ended/)
  })
})

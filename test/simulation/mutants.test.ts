/**
 * A simulator that finds nothing says nothing: faults that were once in the package are put back, and it has to find them.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Unsent } from "../../src/internal/connection/unsentBytes.ts"
import { RawStream } from "../../src/internal/http/rawStream.ts"
import { Relayed } from "../../src/internal/http/relayed.ts"
import { Holder } from "../../src/internal/quota/holder.ts"
import { KeptSession } from "../../src/internal/server/keptSession.ts"
import { ReceiveCredit } from "../../src/internal/streams/flowControl.ts"
import type { Call, Plan } from "./plan.ts"
import { run } from "./run.ts"
import { shrink } from "./shrink.ts"

const undo: Array<() => void> = []
afterEach(() => {
  for (const each of undo.splice(0)) each()
})

/** Replaces a method of a class, until the test ends. */
const mutate = <A, Name extends keyof A>(Class: { readonly prototype: A }, name: Name, mutant: A[Name]): void => {
  const before = Class.prototype[name]
  Class.prototype[name] = mutant
  undo.push(() => {
    Class.prototype[name] = before
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

/** A large answer that comes at once. */
const download: Call = { ...lostReady.calls[0]!, at: 100, response: { size: 800_000, piece: 800_000, pause: 0 } }

describe("mutants", () => {
  it("an attempt that is authenticated late takes the connection from the newest link, if attempts have no numbers", async () => {
    assert.deepStrictEqual((await run(lateAuthentication)).faults, [])
    mutate(KeptSession, "isSuperseded", () => false)
    const { faults } = await run(lateAuthentication)
    assert.match(faults.join(), /REPLACED/)
    // What has nothing to do with it is taken away.
    const { plan } = await shrink({ ...lateAuthentication, calls: lostReady.calls })
    assert.deepStrictEqual([plan.calls.length, plan.events.length], [0, 2])
  })

  it("a connection whose first ready is lost ends while the client resumes it, if the server goes on waiting for that", async () => {
    assert.deepStrictEqual((await run(lostReady)).faults, [])
    mutate(KeptSession, "superseded", () => Effect.never)
    const { faults } = await run(lostReady)
    assert.match(faults.join(), /is rejected, and has not ended/)
  })

  it("a stream gets more credit than its sender is told, if a byte is given twice", async () => {
    const slow: Call = { ...download, method: "POST", request: { size: 1000, piece: 100, pause: 140 }, response: none }
    const plan = {
      ...lostReady,
      conditions: { latency: 1, jitter: 0, rate: 1000 },
      calls: [slow],
      events: [],
      end: 2000
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
    const { take } = ReceiveCredit.prototype
    mutate(ReceiveCredit, "take", function(this: ReceiveCredit, stream, bytes) {
      take.call(this, stream, bytes)
      stream.window.available++
    })
    assert.match((await run(plan)).faults.join(), /a credit of \d+ on stream 1, and was given/)
  })

  it("quotas of bytes are exceeded for long, if a holder has room for any number", async () => {
    const quotas = { interruptedBytes: 20_000, memory: 700_000 }
    const conditions = { latency: 1, jitter: 0, rate: 33 }
    const whole = { ...lostReady, quotas, conditions, events: [], calls: [download], end: 5000 }
    const size = 10_000
    const interrupted: Plan = {
      ...whole,
      calls: [{ ...download, response: { size, piece: size, pause: 0 } }],
      events: [{ _tag: "cut", at: 5000, client: 0, tells: ["up"] }],
      end: 10_000
    }
    for (const plan of [whole, interrupted]) assert.deepStrictEqual((await run(plan)).faults, [])
    mutate(Holder, "hasRoom", () => true)
    assert.match((await run(whole)).faults.join(), /the server holds \d+ bytes, above/)
    assert.match((await run(interrupted)).faults.join(), /bytes of interrupted connections, above/)
  })

  it("bodies that a slow reader does not take are without bound, if nobody counts them", async () => {
    const plan: Plan = {
      ...lostReady,
      conditions: { latency: 1, jitter: 0, rate: 10 },
      limits: { client: {}, server: { maxUnsentBytes: 1_000_000 } },
      events: [],
      calls: Array.from({ length: 6 }, () => download),
      end: 5000
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
    mutate(Unsent, "grown", () => {})
    assert.match((await run(plan)).faults.join(), /the server has \d+ unsent bytes, above/)
  })

  const end = { answers: false, leaves: false, breaks: "closes" } as const

  /** An upgrade that its caller breaks off half-way. */
  const brokenOff: Plan = {
    ...lostReady,
    conditions: { latency: 1, jitter: 0, rate: 1000 },
    events: [],
    calls: [{
      ...download,
      request: { size: 1000, piece: 100, pause: 10, failsAt: 500 },
      response: { size: 1000, piece: 100, pause: 10 },
      upgrade: { protocol: "bytes", caller: end, handler: end }
    }],
    end: 2000
  }

  it("a part of an upgrade is taken for the whole, if an end that breaks off ends its direction in good order", async () => {
    assert.deepStrictEqual((await run(brokenOff)).faults, [])
    mutate(RawStream, "abort", function(this: RawStream) {
      this.release()
    })
    assert.match((await run(brokenOff)).faults.join(), /request is taken for whole, and is not/)
  })

  it("an upgrade does not end, if nobody is told that a direction has ended", async () => {
    const whole = { ...brokenOff, calls: [{ ...brokenOff.calls[0]!, request: none }] }
    assert.deepStrictEqual((await run(whole)).faults, [])
    mutate(RawStream, "finish", () => {})
    assert.match((await run(whole)).faults.join(), /call 0 does not end/)
  })

  it("a handler goes on for a caller that has given up, if a relay does not pass that on", async () => {
    const call = { ...lostReady.calls[0]!, to: 0, patience: 1000 }
    const handling = { ...call.handling, delay: 10_000_000 }
    const plan = { ...lostReady, conditions: { latency: 1, jitter: 0, rate: 1000 }, events: [], end: 2000 }
    // One of them is passed on by a handler, the other one before any.
    const calls = [{ ...call, handling }, { ...call, handling }]
    assert.deepStrictEqual((await run({ ...plan, calls })).faults, [])
    mutate(Relayed, "cancel", () => {})
    assert.match((await run({ ...plan, calls })).faults.join(), /call 0 still runs at rest.*call 1 still runs at rest/)
  })
})

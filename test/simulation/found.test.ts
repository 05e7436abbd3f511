/**
 * Plans that once failed, each with what was wrong. The smallest that were found, with a plain test elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Call, Plan } from "./plan.ts"
import { run } from "./run.ts"

const nothing = { size: 0, piece: 1, pause: 0 }

const call: Call = {
  at: 0,
  client: 0,
  from: "client",
  method: "GET",
  request: nothing,
  handling: { reading: { pause: 0 }, delay: 0, ends: "answers", isInterruptible: true },
  response: nothing,
  reading: { pause: 0 }
}

const orderly = { answers: false, leaves: false, breaks: "fails" } as const

const quiet: Plan = {
  seed: 1,
  wire: "v1",
  clients: 1,
  budget: 2048,
  slowness: 0,
  conditions: { latency: 1, jitter: 0, rate: 1000 },
  limits: { client: {}, server: {} },
  onSameIdentity: "keep-both",
  calls: [],
  events: [],
  authentications: [],
  metadata: [],
  end: 1000
}

describe("plans that once failed", () => {
  it("the first request of a client comes while the server still reads the handshake: it waited for a second one", async () => {
    const authentications = [{ delay: 5000, ends: "succeeds" }] as const
    assert.deepStrictEqual((await run({ ...quiet, calls: [call], authentications })).faults, [])
  })

  it("a link that its client has lost is authenticated late: it replaced the client's next connection", async () => {
    const plan: Plan = {
      ...quiet,
      seed: 38_173,
      conditions: { latency: 3, jitter: 0, rate: 40_386 },
      onSameIdentity: "replace-older",
      events: [
        { _tag: "close", at: 27, client: 0, by: "client", drain: true },
        { _tag: "cut", at: 30, client: 0, tells: [] }
      ],
      authentications: [{ delay: 6677, ends: "succeeds" }],
      end: 35
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })

  it("a connection of wire v1 is replaced while the server executes its call, which was said not to be processed", async () => {
    const handling = { reading: { pause: 0 }, delay: 7217, ends: "answers", isInterruptible: true } as const
    const plan: Plan = {
      ...quiet,
      onSameIdentity: "replace-older",
      calls: [{ ...call, at: 149, handling }],
      events: [{ _tag: "double", at: 600, client: 0, how: "power", millis: 1301 }],
      end: 4689
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })

  it("an upgrade whose handler dies while it writes: its peer took a part for the whole", async () => {
    const plan: Plan = {
      ...quiet,
      seed: 1464,
      wire: "v2",
      budget: 7,
      conditions: { latency: 1, jitter: 0, rate: 36 },
      calls: [{
        ...call,
        at: 1,
        from: "server",
        response: { size: 162, piece: 6, pause: 13, failsAt: 132 },
        upgrade: { protocol: "bytes", caller: orderly, handler: { ...orderly, breaks: "dies" } }
      }],
      end: 3
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })

  it("a WebSocket that its peer closes while a writer waits for room: the writer waited for ever", async () => {
    const plan: Plan = {
      ...quiet,
      wire: "v2",
      limits: { client: { sendBuffer: 2 }, server: { streamWindow: 4 } },
      calls: [{
        ...call,
        at: 100,
        from: "server",
        response: { size: 178, piece: 178, pause: 0 },
        upgrade: { protocol: "websocket", caller: orderly, handler: orderly }
      }]
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })

  it("a WebSocket that its peer closes between a write and its wait for room: the writer waited for ever", async () => {
    const plan: Plan = {
      ...quiet,
      seed: 10,
      wire: "v2",
      budget: 7,
      conditions: { latency: 3, jitter: 9, rate: 13 },
      limits: { client: {}, server: { sendBuffer: 2, streamWindow: 39 } },
      calls: [{
        ...call,
        at: 100,
        from: "server",
        request: { size: 597, piece: 20, pause: 0 },
        response: { size: 1, piece: 1, pause: 0 },
        upgrade: { protocol: "websocket", caller: orderly, handler: orderly }
      }]
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })

  it("a program leaves while its successor is there and the server restarts: it got another connection, which stopped the successor", async () => {
    const handling = { reading: { pause: 0 }, delay: 0, ends: "answers", isInterruptible: false } as const
    const plan: Plan = {
      ...quiet,
      seed: 719_034,
      wire: "v2",
      conditions: { latency: 1, jitter: 0, rate: 12 },
      onSameIdentity: "replace-older",
      calls: [{
        ...call,
        at: 768,
        from: "server",
        method: "POST",
        request: { size: 9879, piece: 330, pause: 0 },
        handling,
        response: { size: 2219, piece: 2219, pause: 0 }
      }],
      events: [
        { _tag: "cut", at: 1103, client: 0, tells: [] },
        { _tag: "restart", at: 2112, program: 0, how: "leaves", millis: 29_969 },
        { _tag: "restart", at: 1885, program: "server", how: "killed", millis: 2 }
      ],
      end: 2925
    }
    assert.deepStrictEqual((await run(plan)).faults, [])
  })
})

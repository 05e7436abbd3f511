/**
 * What a connection measures and counts: round trips, bytes that wait, silence of its peer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { make as makeHeartbeat } from "../../src/internal/connection/heartbeat.ts"
import { Intake } from "../../src/internal/connection/intake.ts"
import { readAll } from "../../src/internal/connection/reader.ts"
import { RoundTrip } from "../../src/internal/connection/roundTrip.ts"
import { type Holder, Unsent } from "../../src/internal/connection/unsentBytes.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { Gate } from "../../src/internal/scheduling/gate.ts"
import { Session } from "../../src/internal/session/session.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import { settle } from "../support/memoryPeer.ts"

describe("the round trip", () => {
  it("is 0 where a handshake is as quick as programs are, and that of the handshake where it is not", () => {
    const measured = new RoundTrip()
    measured.shook(14.9)
    assert.deepStrictEqual([measured.last, measured.shortest], [14.9, 0])
    measured.shook(15)
    assert.deepStrictEqual([measured.last, measured.shortest], [15, 15])
  })

  it("is that of the shortest ping once there was one, whatever handshakes take", () => {
    const measured = new RoundTrip()
    measured.shook(40)
    measured.pinged(50)
    assert.deepStrictEqual([measured.last, measured.shortest], [50, 50])
    measured.pinged(60)
    assert.deepStrictEqual([measured.last, measured.shortest], [60, 50])
    measured.pinged(5)
    measured.shook(30)
    assert.deepStrictEqual([measured.last, measured.shortest], [30, 5])
  })
})

describe("bytes that wait in all connections", () => {
  const MiB = 1024 * 1024
  const holder = (unsentBytes: number | undefined) => {
    const ended: Array<string> = []
    const made = {
      mux: { unreadBytes: 0, unsentBytes: unsentBytes as number },
      session: undefined,
      link: undefined,
      overload: (reason: string) => void ended.push(reason)
    }
    return { made: made satisfies Holder, ended }
  }

  it("end the connection that holds the most when they are more than may be", () => {
    const unsent = new Unsent(10 * MiB)
    const [small, large, other] = [holder(2 * MiB), holder(5 * MiB), holder(3 * MiB)]
    for (const { made } of [small, large, other]) unsent.grown(made)
    assert.deepStrictEqual([small, large, other].map(({ ended }) => ended.length), [0, 0, 0], "10 MiB may be")
    small.made.mux.unsentBytes++
    unsent.grown(small.made)
    assert.deepStrictEqual([small, large, other].map(({ ended }) => ended.length), [0, 1, 0])
    assert.include(large.ended[0], String(5 * MiB))
    // It counts no more.
    small.made.mux.unsentBytes = 6 * MiB
    unsent.grown(small.made)
    assert.strictEqual(small.ended.length + other.ended.length + large.ended.length, 1)
  })

  it("count no connection that has ended, or holds less than 1 MiB", () => {
    const unsent = new Unsent(3 * MiB)
    const [gone, little, none, last] = [holder(3 * MiB), holder(MiB - 1), holder(undefined), holder(3 * MiB)]
    unsent.grown(gone.made)
    unsent.forget(gone.made)
    for (const { made } of [little, none, last]) unsent.grown(made)
    assert.deepStrictEqual([gone, little, none, last].flatMap(({ ended }) => ended), [])
    little.made.mux.unsentBytes = MiB
    unsent.grown(little.made)
    assert.strictEqual(last.ended.length, 1)
  })
})

/** Time passes, and sleepers wake, as the test says: a process may stand still meanwhile. */
const manualClock = () => {
  let now = 0
  let wake = () => {}
  const clock = {
    monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n,
    sleep: () => Effect.callback<void>((resume) => void (wake = () => resume(Effect.void)))
  } as unknown as Clock.Clock
  return {
    clock,
    /** Wakes who sleeps, so many milliseconds later. */
    after: (millis: number) =>
      Effect.suspend(() => {
        now += millis
        wake()
        return settle
      })
  }
}

describe("a heartbeat", () => {
  const beat = (options: Parameters<typeof makeHeartbeat>[0]) =>
    Effect.gen(function*() {
      const { after, clock } = manualClock()
      const state = { received: 0, pings: 0, trips: [] as Array<number> }
      const made = yield* Effect.provideService(
        makeHeartbeat(options)({
          connectionId: "c",
          ping: () => void state.pings++,
          received: () => state.received,
          roundTrip: (millis) => void state.trips.push(millis),
          fork: () => {}
        }),
        Clock.Clock,
        clock
      )
      const running = yield* Effect.forkChild(Effect.provideService(made.run, Clock.Clock, clock), {
        startImmediately: true
      })
      return { after, state, running, made }
    })

  it.effect("gives a peer another second when the process did not run, or its whole timeout where that is less", () =>
    Effect.gen(function*() {
      for (const [timeout, more] of [[5000, 1000], [100, 100]] as const) {
        const { after, running, state } = yield* beat({ interval: 10_000, timeout })
        yield* after(10_000)
        assert.strictEqual(state.pings, 1)
        yield* after(timeout + 1000)
        assert.isUndefined(running.pollUnsafe(), "it was a second late")
        yield* after(more - 1)
        assert.isUndefined(running.pollUnsafe())
        yield* after(1)
        assert.isDefined(running.pollUnsafe())
      }
    }))

  it.effect("finds a silent peer dead at the timeout where the process has run", () =>
    Effect.gen(function*() {
      const { after, running } = yield* beat({ interval: 10_000, timeout: 5000 })
      yield* after(10_000)
      yield* after(4999)
      assert.isUndefined(running.pollUnsafe())
      yield* after(1)
      assert.isDefined(running.pollUnsafe())
    }))

  it.effect("keeps 65 pings that wait for their pongs, in order", () =>
    Effect.gen(function*() {
      const { after, made, state } = yield* beat({ interval: 1000, timeout: 1_000_000 })
      for (let pings = 0; pings < 70; pings++) yield* after(1000)
      for (let pongs = 0; pongs < 70; pongs++) made.onPong(new Uint8Array(0))
      assert.deepStrictEqual(state.trips, Array.from({ length: 65 }, (_, ping) => 69_000 - ping * 1000))
    }))

  it("refuses intervals and timeouts that are not above 0", () => {
    for (const options of [{ interval: 0 }, { timeout: 0 }]) assert.throws(() => makeHeartbeat(options), RangeError)
  })
})

describe("reading a link", () => {
  const mux = (members: object) => ({ isReadable: () => false, ...members }) as unknown as Multiplexed
  const receiver = { receive: () => undefined, receiveRest: () => undefined, paused: () => assert.fail("paused") }

  it.effect("tells of no pause where there is none", () =>
    Effect.gen(function*() {
      let reads = 0
      const reading = {
        isReceiving: true,
        pauseMillis: 0
      }
      const link = { pull: Effect.suspend(() => reads++ > 0 ? Effect.never : Effect.succeed([Uint8Array.of(1)])) }
      const made = mux({ isReadable: undefined })
      Object.defineProperties(made, {
        isReceiving: { get: () => reading.isReceiving },
        pauseMillis: { get: () => reading.pauseMillis }
      })
      const fiber = yield* Effect.forkChild(readAll(link as unknown as Link, made, new Gate(), receiver))
      yield* settle
      reading.isReceiving = false
      yield* settle
      assert.strictEqual(reads, 2)
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("ends when the rest of a message is found to be wrong", () =>
    Effect.gen(function*() {
      const error = linkFailure("read", "why")
      const link = { pull: Effect.succeed([Uint8Array.of(1)]) } as unknown as Link
      const made = mux({ isReadable: undefined, isReceiving: true })
      const fiber = yield* Effect.forkChild(
        Effect.flip(readAll(link, made, new Gate(), { ...receiver, receiveRest: () => error }))
      )
      yield* settle
      assert.strictEqual(yield* Fiber.join(fiber), error)
    }))

  it.effect("goes on where a link has ended while there is no room: nothing else would tell of that", () =>
    Effect.gen(function*() {
      const webSocket = Object.assign(new EventTarget(), { readyState: 1 })
      let onClose = () => {}
      const tcp = { destroyed: false, once: (_: "close", listener: () => void) => void (onClose = listener) }
      const links = [
        [{ webSocket, tcp: { destroyed: true } }, () => {
          webSocket.readyState = 3
          webSocket.dispatchEvent(new Event("close"))
        }],
        [{ tcp }, () => {
          tcp.destroyed = true
          onClose()
        }]
      ] as const
      for (const [members, end] of links) {
        let reads = 0
        const link = { ...members, pull: Effect.suspend(() => (reads++, Effect.never)) } as unknown as Link
        const room = new Gate()
        const fiber = yield* Effect.forkChild(readAll(link, mux({}), room, receiver))
        yield* settle
        room.notify()
        yield* settle
        assert.strictEqual(reads, 0)
        end()
        yield* settle
        assert.strictEqual(reads, 1)
        yield* Fiber.interrupt(fiber)
      }
    }))
})

// PROTOCOL.md SES-3
it("the session counts a message once all of it was acted on, if nothing was wrong with it", () => {
  const session = new Session(100, 100)
  const mux = { isReceiving: false, receive: () => undefined as object | undefined, receiveRest: () => undefined }
  let due = 0
  const intake = new Intake(mux as unknown as Multiplexed, session, () => due++)
  assert.isUndefined(intake.receiveRest())
  assert.strictEqual(session.received, 0)
  mux.isReceiving = true
  intake.receive(new Uint8Array(60))
  intake.receiveRest()
  assert.strictEqual(session.received, 0)
  mux.isReceiving = false
  intake.receiveRest()
  assert.deepStrictEqual([session.received, due], [1, 1])
  assert.isUndefined(intake.receiveRest())
  assert.strictEqual(session.received, 1)
  mux.receive = () => ({ code: 1, reason: "" })
  assert.isDefined(intake.receive(new Uint8Array(60)))
  assert.strictEqual(session.received, 1)
  const without = new Intake({ receive: () => undefined } as unknown as Multiplexed, undefined, () => assert.fail())
  assert.isUndefined(without.receive(new Uint8Array(60)))
})

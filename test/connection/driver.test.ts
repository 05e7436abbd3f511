/**
 * A connection whose link and multiplexer are in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import { HeartbeatTimeout, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { Attachment } from "../../src/internal/connection/attachment.ts"
import * as connectionDriver from "../../src/internal/connection/driver.ts"
import { Apps, appsOf, callerOf, peerOf } from "../../src/internal/connection/peer.ts"
import type { Violation } from "../../src/internal/frame/codes.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { linkFailure } from "../../src/internal/link/linkErrors.ts"
import { Session } from "../../src/internal/session/session.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import type { MultiplexerOptions } from "../../src/internal/streams/options.ts"
import * as Limits from "../../src/Limits.ts"
import { settle } from "../support/memoryPeer.ts"

/** A link that notes how it is used, and ends when the test says so. */
class FakeLink {
  readonly calls: Array<unknown> = []
  readonly #end = Deferred.makeUnsafe<never, Socket.SocketError>()
  messages: Array<Uint8Array> = []
  readonly link: Link

  constructor() {
    const note = (name: string) => (...rest: ReadonlyArray<unknown>): void => void this.calls.push([name, ...rest])
    this.link = {
      pull: Effect.suspend(() => {
        const [first, ...rest] = this.messages
        this.messages = []
        return first === undefined ? Deferred.await(this.#end) : Effect.succeed([first, ...rest] as const)
      }),
      send: (message) => {
        this.calls.push(["send", message])
        return undefined
      },
      isFull: () => false,
      isEmpty: () => true,
      taken: () => 0,
      onRoom: () => {},
      close: note("close"),
      terminate: note("terminate"),
      hangUp: note("hangUp")
    }
  }

  end(code: number): void {
    Deferred.doneUnsafe(
      this.#end,
      Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) }))
    )
  }
}

type Measured = Partial<Pick<Attachment, "received" | "roundTrip">>

/** Streams that are open: none. */
const makeMux = (calls: Array<unknown>) => {
  const mux = {
    counters: { streamsAccepted: 0 },
    active: { local: 0, remote: 0, waiting: 0 },
    heard: 0,
    unreadBytes: 0,
    waitingForReaders: undefined,
    ping: () => {},
    goAway: (...rest: ReadonlyArray<unknown>) => void calls.push(["goAway", ...rest]),
    cancelAll: () => void calls.push(["cancelAll"]),
    fail: (...rest: ReadonlyArray<unknown>) => void calls.push(["fail", ...rest]),
    pull: (): Uint8Array<ArrayBuffer> | undefined => undefined,
    linkLost: () => void calls.push(["linkLost"]),
    receive: (): Violation | undefined => undefined,
    receiveRest: (): Violation | undefined => {
      calls.push(["receiveRest"])
      return undefined
    },
    isReceiving: false
  }
  return mux
}

const make = Effect.fnUntraced(function*(
  options: { readonly wire?: "v1" | "v2"; readonly session?: boolean; readonly windowMillis?: number } = {}
) {
  const calls: Array<unknown> = []
  const mux = makeMux(calls)
  /** The heartbeat finds the peer dead. */
  const silence = Deferred.makeUnsafe<never, SwaggerSocketError>()
  let host!: MultiplexerOptions["host"]
  const scope = yield* Effect.scope
  const limits = Limits.defaults
  const driver = yield* connectionDriver.make({
    clock: yield* Clock.Clock,
    scope,
    ownerScope: scope,
    heartbeat: () => Effect.succeed({ run: Deferred.await(silence), onPing: () => {}, onPong: () => {} }),
    multiplexer: (options) => {
      host = options.host
      return mux as unknown as Multiplexed
    },
    wire: options.wire ?? "v2",
    id: "c",
    metadata: null,
    principal: undefined,
    role: "server",
    remoteAddress: Option.none(),
    limits,
    remote: limits,
    session: options.session === true ? new Session(65_536, 65_536) : undefined,
    windowMillis: options.windowMillis ?? 60_000,
    apps: new Apps(limits),
    unsent: { forget: () => void calls.push(["forget"]), grown: () => {} }
  })
  const events: Array<string> = []
  const released: Array<FakeLink> = []
  const attachment = (fake: FakeLink, { received = 0, roundTrip = 0 }: Measured = {}) =>
    new Attachment(fake.link, Effect.sync(() => void released.push(fake)), roundTrip, received)
  let renew = Deferred.makeUnsafe<Attachment>()
  const fake = new FakeLink()
  const first = attachment(fake)
  const start = (measured?: Measured) =>
    driver.run(measured === undefined ? first : attachment(fake, measured), {
      renew: () => Deferred.await(renew),
      onOpen: () => events.push("open"),
      onInterrupted: () => events.push("interrupted"),
      onResumed: () => events.push("resumed")
    }).pipe(Effect.forkChild({ startImmediately: true, uninterruptible: true }))
  return {
    driver,
    mux,
    calls,
    silence,
    events,
    released,
    fake,
    attachment,
    first,
    start,
    host: () => host,
    /** Gives the connection its next link. */
    give: (given: Attachment) => {
      const waiting = renew
      renew = Deferred.makeUnsafe()
      Deferred.doneUnsafe(waiting, Effect.succeed(given))
    }
  }
})

const goAway = (code: number) => ({ _tag: "GoAway", lastStreamId: 0, code, reason: "why" }) as const

describe("a connection", () => {
  it.effect("tells its round-trip time, its streams and its counters, and is equal to itself alone", () =>
    Effect.gen(function*() {
      const { driver, mux, start } = yield* make()
      const other = yield* make()
      yield* start({ roundTrip: 40 })
      assert.strictEqual(Duration.toMillis(yield* driver.roundTrip), 40)
      assert.strictEqual(yield* driver.active, mux.active)
      assert.deepInclude(yield* driver.statistics, { streamsAccepted: 0, roundTripMillis: 40 })
      assert.isTrue(Equal.equals(driver, driver))
      assert.isFalse(Equal.equals(driver, other.driver))
      assert.deepStrictEqual(
        [driver, other.driver].map((that) => (driver as unknown as Equal.Equal)[Equal.symbol](that as never)),
        [true, false]
      )
      yield* other.start()
      assert.isAbove(other.driver.lastSign, driver.lastSign)
    }))

  it("is told from what others have made", () => {
    assert.throws(() => peerOf({}), TypeError)
    assert.throws(() => appsOf({}), TypeError)
    assert.deepStrictEqual(callerOf({ mux: {} }), { address: undefined, principal: undefined })
  })

  // PROTOCOL.md DRN-8
  it.effect("closes its link with 1000 a second after the peer has found a fault, whose error ends it", () =>
    Effect.gen(function*() {
      const { driver, fake, host, start } = yield* make()
      const end = yield* start()
      host().onGoAway(goAway(1))
      assert.deepInclude((yield* driver.retired)?.reason, { _tag: "ProtocolViolation", initiator: "local" })
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(fake.calls, [])
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(fake.calls[0], 1000)
      const closed = yield* Fiber.join(end)
      assert.deepInclude(closed._tag === "Failed" && closed.error.reason, { code: "PROTOCOL_ERROR" })
    }))

  it.effect("waits for the close frame of its peer though that finds a fault with it meanwhile, and drops the link then", () =>
    Effect.gen(function*() {
      const { calls, driver, fake, host, start } = yield* make()
      const end = yield* start()
      const closing = yield* Effect.forkChild(driver.close({ code: 3000, reason: "why" }), { startImmediately: true })
      assert.strictEqual(yield* driver.status, "closing")
      host().onGoAway(goAway(1))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(fake.calls, [["close", 3000, "why"]])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fake.calls[1], ["terminate"])
      yield* Fiber.join(closing)
      const farewell = { _tag: "Closed", initiator: "local", code: 3000, reason: "why" } as const
      assert.deepStrictEqual(yield* Fiber.join(end), farewell)
      assert.strictEqual(yield* driver.status, "closed")
      assert.deepInclude(calls[0], "why")
    }))

  it.effect("closes once when its peer retires it, a second after the last stream, and says so", () =>
    Effect.gen(function*() {
      const { calls, driver, fake, host, mux, start } = yield* make()
      yield* start()
      mux.active = { local: 0, remote: 1, waiting: 0 }
      host().onGoAway(goAway(0))
      host().onGoAway(goAway(0))
      assert.isUndefined(yield* driver.retired)
      assert.strictEqual(yield* driver.status, "draining")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(fake.calls, [])
      mux.active = { local: 0, remote: 0, waiting: 0 }
      host().onIdle()
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(fake.calls, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(fake.calls, [["close", 1000, "going away"]])
      assert.strictEqual(calls.filter((call) => (call as Array<unknown>)[0] === "goAway").length, 1)
    }))

  it.effect("is expelled with the code and without GOAWAY, once, also without a link", () =>
    Effect.gen(function*() {
      const linked = yield* make()
      const end = yield* linked.start()
      linked.driver.expel(4111, "another")
      linked.driver.expel(4112, "third")
      const expelled = { _tag: "Closed", initiator: "local", code: 4111, reason: "another" } as const
      assert.deepStrictEqual(yield* Fiber.join(end), expelled)
      assert.deepStrictEqual(linked.fake.calls, [["close", 4111, "another"]])
      assert.notInclude(JSON.stringify(linked.calls), "goAway")

      const interrupted = yield* make({ session: true })
      const later = yield* interrupted.start()
      interrupted.fake.end(1006)
      yield* settle
      assert.strictEqual(yield* interrupted.driver.status, "interrupted")
      interrupted.driver.expel(4111, "another")
      assert.deepStrictEqual(yield* Fiber.join(later), expelled)
    }))

  it.effect("sends nothing once it has ended", () =>
    Effect.gen(function*() {
      const { fake, host, mux, start } = yield* make()
      const end = yield* start()
      fake.end(1000)
      yield* Fiber.join(end)
      mux.pull = () => Uint8Array.of(1)
      host().onPending()
      host().flush()
      yield* settle
      assert.deepStrictEqual(fake.calls, [])
    }))

  it.effect("says that its peer was silent, and is counted no more among those that hold bytes", () =>
    Effect.gen(function*() {
      const { calls, fake, silence, start } = yield* make()
      const end = yield* start()
      const error = new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis: 1 }) })
      yield* Deferred.fail(silence, error)
      assert.deepStrictEqual(yield* Fiber.join(end), { _tag: "Failed", error })
      assert.deepStrictEqual(fake.calls, [["close", 4013, ""]])
      assert.deepInclude(calls, ["forget"])
    }))

  it.effect("acts on all of a message, of which a part was taken, when its link ends meanwhile: a part a turn", () =>
    Effect.gen(function*() {
      const { driver, fake, mux, start } = yield* make()
      mux.receive = () => {
        mux.isReceiving = true
        return undefined
      }
      let turn = 0
      const parts: Array<number> = []
      let isDropped = false
      mux.receiveRest = () => {
        if (isDropped) mux.isReceiving = parts.push(turn) < 3
        return undefined
      }
      fake.messages = [Uint8Array.of(1)]
      const end = yield* start()
      yield* settle
      const count = () => {
        turn++
        counting = setImmediate(count)
      }
      let counting = setImmediate(count)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearImmediate(counting)))
      driver.dropLink(1000, linkFailure("read", "why"))
      isDropped = true
      let isFinished = false
      const finished = yield* Effect.forkChild(
        Effect.tap(driver.untilFinished(), () => Effect.sync(() => isFinished = true)),
        { startImmediately: true }
      )
      assert.isFalse(isFinished)
      yield* Fiber.join(finished)
      assert.lengthOf(parts, 3)
      yield* Fiber.join(end)
      assert.lengthOf(new Set(parts), 3)
    }))

  it.effect("gives a full link of wire v1 all the time that it takes, and another sendTimeout", () =>
    Effect.gen(function*() {
      for (const [wire, expected] of [["v2", 1], ["v1", 0]] as const) {
        const { driver } = yield* make({ wire })
        let runs = 0
        ;(driver as unknown as { afterSendTimeout: (run: () => void) => void }).afterSendTimeout(() => runs++)
        yield* TestClock.adjust(Duration.toMillis(Limits.defaults.sendTimeout) - 1)
        assert.strictEqual(runs, 0)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(runs, expected)
      }
    }))
})

describe("a connection that has lost its link", () => {
  it.effect("goes on with another one, and drops what was for the old one alone", () =>
    Effect.gen(function*() {
      const { attachment, calls, driver, events, fake, first, give, released, start } = yield* make({ session: true })
      const end = yield* start()
      fake.end(1006)
      yield* settle
      assert.deepStrictEqual(fake.calls, [["terminate"]])
      assert.deepStrictEqual(released, [fake])
      assert.isUndefined(first.link, "who keeps what it began with keeps no link")
      assert.deepInclude(calls, ["linkLost"])
      const second = new FakeLink()
      give(attachment(second, { roundTrip: 7 }))
      yield* settle
      assert.strictEqual(yield* driver.status, "open")
      assert.strictEqual(Duration.toMillis(yield* driver.roundTrip), 7)
      second.end(1000)
      yield* Fiber.join(end)
      assert.deepStrictEqual(released, [fake, second])
      assert.deepStrictEqual(events, ["open", "interrupted", "resumed"])
    }))

  it.effect("ends when the window is over, or after closeTimeout where this end drains", () =>
    Effect.gen(function*() {
      const { driver, fake, start } = yield* make({ session: true, windowMillis: 60_000 })
      const end = yield* start()
      fake.end(1006)
      yield* TestClock.adjust("59999 millis")
      assert.isUndefined(end.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const lost = yield* Fiber.join(end)
      assert.deepInclude(lost._tag === "Failed" && lost.error.reason, { _tag: "SessionLost", because: "expired" })
      assert.strictEqual(yield* driver.status, "closed")
    }))

  it.effect("releases a link that comes in the turn in which the connection is closed", () =>
    Effect.gen(function*() {
      for (const closesFirst of [true, false]) {
        const { attachment, driver, fake, give, released, start } = yield* make({ session: true })
        const end = yield* start()
        fake.end(1006)
        yield* settle
        const second = new FakeLink()
        if (closesFirst) driver.leave(1000, "")
        give(attachment(second))
        if (!closesFirst) driver.leave(1000, "")
        yield* settle
        second.end(1000)
        yield* Fiber.join(end)
        if (!closesFirst) assert.include(released, second)
      }
    }))

  it.effect("rejects a link whose peer has received more than was sent", () =>
    Effect.gen(function*() {
      const { attachment, fake, give, released, start } = yield* make({ session: true })
      const end = yield* start()
      fake.end(1006)
      yield* settle
      const second = new FakeLink()
      give(attachment(second, { received: 5 }))
      const lost = yield* Fiber.join(end)
      assert.deepInclude(lost._tag === "Failed" && lost.error.reason, { _tag: "SessionLost", because: "rejected" })
      assert.deepStrictEqual(second.calls, [["close", 4108, ""]])
      assert.deepStrictEqual(released, [fake, second])
    }))

  it.effect("says why the first link was of no use as not processed, and later ones as unknown", () =>
    Effect.gen(function*() {
      for (const [hasReceived, outcome] of [[false, "not-processed"], [true, "unknown"]] as const) {
        const { calls, fake, start } = yield* make()
        if (hasReceived) fake.messages = [Uint8Array.of(1)]
        const end = yield* start()
        yield* settle
        fake.end(4101)
        yield* Fiber.join(end)
        const failed = calls.find((call) => (call as Array<unknown>)[0] === "fail") as Array<unknown>
        assert.strictEqual(failed[2], outcome)
      }
    }))

  it.effect("does not take a link that was dropped for lost twice", () =>
    Effect.gen(function*() {
      const { driver, events, fake, start } = yield* make({ session: true })
      yield* start()
      driver.dropLink(4110, linkFailure("read", "reconnecting"))
      driver.dropLink(4110, linkFailure("read", "again"))
      yield* settle
      assert.deepStrictEqual(fake.calls, [["close", 4110, "The link failed (read): reconnecting"]])
      assert.deepStrictEqual(events, ["open", "interrupted"])
      const closing = yield* Effect.forkChild(driver.close(), { startImmediately: true })
      yield* Fiber.join(closing)
    }))
})

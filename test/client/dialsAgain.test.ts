/**
 * What a client does next, against a server in memory that is in the hands of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Limits from "effect-swaggersocket/Limits"
import * as Link from "effect-swaggersocket/Link"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import { Encoder } from "../../src/internal/frame/encoder.ts"
import type { Decoded, Frame } from "../../src/internal/frame/Frame.ts"
import { refused } from "../../src/internal/link/refusal.ts"
import { record } from "../support/events.ts"
import { goAway, response } from "../support/frames.ts"
import { settle } from "../support/memoryPeer.ts"

const generous = { maxMessageSize: 1e6, maxFrameSize: 1e6, maxHeadSize: 1e6, headTableSize: 4096 }

/** The server's end of one link. */
class ServerLink {
  readonly link: Link.Link
  readonly #encoder = new Encoder(0)
  readonly #decoder = new Decoder(generous, true)

  constructor(link: Link.Link) {
    this.link = link
  }

  send(frame: Frame): void {
    this.#encoder.frame(frame)
    this.link.send(this.#encoder.take())
  }

  /** What has come so far: texts parsed, frames, and how the link has ended. */
  get received(): Effect.Effect<Array<Record<string, unknown>>> {
    return Effect.gen({ self: this }, function*() {
      yield* settle
      const all: Array<Record<string, unknown>> = []
      for (;;) {
        const reader = yield* Effect.forkChild(Effect.exit(this.link.pull), { startImmediately: true })
        const exit = reader.pollUnsafe()
        if (exit === undefined) {
          yield* Fiber.interrupt(reader)
          return all
        }
        const result = yield* Effect.result(yield* exit)
        if (result._tag === "Failure") return [...all, { ...result.failure.reason }]
        for (const message of result.success) {
          if (typeof message === "string") all.push(JSON.parse(message) as Record<string, unknown>)
          else {
            this.#decoder.decode(message, (frame: Decoded) => {
              all.push({ ...frame })
              return undefined
            })
          }
        }
      }
    })
  }

  /** Answers the hello; gives it. */
  welcome(members: object = {}): Effect.Effect<Record<string, unknown>> {
    return Effect.gen({ self: this }, function*() {
      const [hello] = yield* this.received
      const session = { windowMillis: 600_000, replayBuffer: 65_536, token: "t1", epoch: "e" }
      const answer = { type: "welcome", version: 2, connectionId: "c", resumed: false, settings: {}, session }
      this.link.send(JSON.stringify({ ...answer, ...members }))
      yield* settle
      return hello!
    })
  }
}

/** A client that waits 1, 2, 4, ... seconds between attempts. `fails` says which of them make no link. */
const start = Effect.fnUntraced(function*(limits: Limits.Options = {}) {
  const links: Array<ServerLink> = []
  let failures = 0
  const link = Effect.suspend(() => {
    if (failures > 0) {
      failures--
      return Effect.fail(new Error(`no link, ${failures} more`))
    }
    return Effect.map(Link.makePair, ([near, far]) => {
      links.push(new ServerLink(far))
      return near
    })
  })
  const scope = yield* Scope.make()
  // Nobody answers: closing takes all the time that it may.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(closing)
    })
  )
  const client = yield* Scope.provide(SwaggerSocketClient.make({ link, limits }), scope).pipe(
    Effect.provide(Reconnection.layer({ schedule: Schedule.exponential("1 second") }))
  )
  const { events } = yield* record(client.events)
  yield* settle
  return {
    client,
    events: () => events().map(({ _tag }) => _tag),
    count: () => links.length,
    last: () => links.at(-1)!,
    failNext: (count: number) => void (failures = count),
    /** Lets time pass, and answers in which second the next attempt begins. */
    untilNext: Effect.gen(function*() {
      const before = [links.length, failures].join()
      for (let second = 1; second <= 60; second++) {
        yield* TestClock.adjust("1 second")
        yield* settle
        if ([links.length, failures].join() !== before) return second
      }
      return Infinity
    })
  }
})

const none = { session: undefined }

describe("a client", () => {
  it.effect("says what it does, and how the attempt before has failed", () =>
    Effect.gen(function*() {
      const { client, events, failNext, last, untilNext } = yield* start()
      assert.deepStrictEqual(yield* client.status, { _tag: "Connecting", attempt: 1 })
      failNext(1)
      last().link.terminate()
      yield* settle
      const waiting = yield* client.status
      assert.deepInclude(waiting, { _tag: "Waiting", attempt: 2 })
      assert.strictEqual(yield* untilNext, 1)
      assert.deepInclude(yield* client.status, { _tag: "Waiting", attempt: 3 })
      assert.strictEqual(yield* untilNext, 2)
      const connecting = yield* client.status
      assert.deepInclude(connecting, { _tag: "Connecting", attempt: 3 })
      assert.include((connecting as { readonly error: Error }).error.message, "no link, 0 more")
      yield* last().welcome()
      assert.strictEqual((yield* client.status)._tag, "Connected")
      assert.deepStrictEqual(events(), ["ConnectionAttemptFailed", "ConnectionAttemptFailed", "ConnectionReceived"])
      last().link.terminate()
      yield* settle
      yield* untilNext
      assert.deepStrictEqual(yield* client.status, { _tag: "Connecting", attempt: 1 }, "nothing has failed since")
      const reconnects = (yield* Metric.snapshot).find(({ id }) => id === "swaggersocket_reconnects")
      assert.deepInclude(reconnects?.state, { count: 3 })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  // PROTOCOL.md ERR-9
  it.effect("goes on with its delays after a short connection, and begins them anew after one of 5 seconds", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [seconds: number, delays: Array<number>]> = [[4, [4, 8]], [5, [1, 2]]]
      for (const [seconds, delays] of cases) {
        const { client, failNext, last, untilNext } = yield* start({ resumeWindow: 0 })
        failNext(1)
        last().link.terminate()
        yield* settle
        assert.deepStrictEqual([yield* untilNext, yield* untilNext], [1, 2])
        yield* last().welcome(none)
        yield* TestClock.adjust(`${seconds} seconds`)
        assert.strictEqual((yield* client.status)._tag, "Connected")
        failNext(1)
        last().link.close(1000, "")
        yield* settle
        assert.deepStrictEqual([yield* untilNext, yield* untilNext], delays)
      }
    }))

  it.effect("dials at once when the server retires a connection of 5 seconds, and after the first delay then", () =>
    Effect.gen(function*() {
      const { count, failNext, last, untilNext } = yield* start({ resumeWindow: 0 })
      failNext(1)
      last().link.terminate()
      yield* settle
      assert.deepStrictEqual([yield* untilNext, yield* untilNext], [1, 2])
      yield* last().welcome(none)
      yield* TestClock.adjust("5 seconds")
      const before = count()
      last().send(goAway(0, "NO_ERROR"))
      yield* settle
      assert.strictEqual(count(), before + 1)
      last().link.terminate()
      yield* settle
      assert.strictEqual(yield* untilNext, 1)
    }))

  it.effect("dials after a delay when the server retires a connection at once", () =>
    Effect.gen(function*() {
      const { last, untilNext } = yield* start({ resumeWindow: 0 })
      yield* last().welcome(none)
      yield* TestClock.adjust("4999 millis")
      last().send(goAway(0, "NO_ERROR"))
      yield* settle
      assert.strictEqual(yield* untilNext, 1)
    }))

  it.effect("waits for the first delay again after it was stopped, and for all of it", () =>
    Effect.gen(function*() {
      const { client, failNext, last, untilNext } = yield* start()
      failNext(2)
      last().link.terminate()
      yield* settle
      assert.deepStrictEqual([yield* untilNext, yield* untilNext, yield* untilNext], [1, 2, 4])
      yield* last().received
      last().link.send(JSON.stringify({ type: "refuse", code: "FORBIDDEN", reason: "", retry: false }))
      yield* settle
      assert.strictEqual((yield* client.status)._tag, "Stopped")
      failNext(1)
      yield* client.reconnect
      yield* settle
      assert.strictEqual(yield* untilNext, 1)
    }))

  it.effect("hurries once when it is told to reconnect while it waits", () =>
    Effect.gen(function*() {
      const { client, count, failNext, last, untilNext } = yield* start()
      last().link.terminate()
      yield* settle
      failNext(1)
      yield* client.reconnect
      yield* settle
      assert.strictEqual(count(), 1, "the attempt has failed")
      assert.strictEqual(yield* untilNext, 2)
    }))

  it.effect("closes a connection without session when it is told to reconnect, and drops the link of another", () =>
    Effect.gen(function*() {
      const plain = yield* start({ resumeWindow: 0 })
      yield* plain.last().welcome(none)
      const first = plain.last()
      yield* Effect.forkChild(plain.client.reconnect)
      const [, left, closed] = yield* first.received
      assert.deepInclude(left, { _tag: "GoAway", code: 0, reason: "reconnecting" })
      assert.deepInclude(closed, { code: 1000 })

      const resuming = yield* start()
      yield* resuming.last().welcome()
      const second = resuming.last()
      yield* resuming.client.reconnect
      assert.deepInclude((yield* second.received).at(-1), { code: 4110 })
    }))
})

describe("a client that has lost a link", () => {
  it.effect("says so, and resumes with what the last welcome said", () =>
    Effect.gen(function*() {
      const { client, events, last, untilNext } = yield* start()
      assert.notProperty(yield* last().welcome(), "resume")
      const connection = yield* client.connection
      for (const [attempt, token] of [[1, "t1"], [2, "t2"]] as const) {
        last().link.terminate()
        yield* settle
        assert.deepInclude(yield* client.status, { _tag: "Waiting", attempt: 1 })
        assert.strictEqual(yield* client.connection, connection)
        yield* untilNext
        assert.deepInclude(yield* client.status, { _tag: "Connecting", attempt: 1 })
        const session = { windowMillis: 600_000, replayBuffer: 65_536, token: "t2", epoch: "e", received: 0 }
        const hello = yield* last().welcome({ resumed: true, session })
        assert.deepInclude(hello.resume, { connectionId: "c", token, epoch: "e", attempt })
        assert.strictEqual((yield* client.status)._tag, "Connected")
      }
      const again = ["ConnectionInterrupted", "ConnectionResumed"]
      assert.deepStrictEqual(events(), ["ConnectionReceived", ...again, ...again])
    }))

  it.effect("goes on with its delays when the link was short, and begins them anew when it has lived for 5 seconds", () =>
    Effect.gen(function*() {
      for (const [seconds, next] of [[4, 2], [5, 1]] as const) {
        const { failNext, last, untilNext } = yield* start()
        yield* last().welcome()
        last().link.terminate()
        yield* settle
        assert.strictEqual(yield* untilNext, 1)
        const session = { windowMillis: 600_000, replayBuffer: 65_536, token: "t", epoch: "e", received: 0 }
        yield* last().welcome({ resumed: true, session })
        yield* TestClock.adjust(`${seconds} seconds`)
        failNext(1)
        last().link.terminate()
        yield* settle
        assert.deepStrictEqual([yield* untilNext, yield* untilNext], [next, 2 * next] as Array<number>)
      }
    }))

  it.effect("takes the connection that a server gives it instead, at once, and says why the old one has ended", () =>
    Effect.gen(function*() {
      for (const [epoch, because] of [["e", "expired"], ["f", "restarted"]] as const) {
        const { client, count, events, last, untilNext } = yield* start()
        yield* last().welcome()
        const first = yield* client.connection
        last().link.terminate()
        yield* settle
        yield* untilNext
        const session = { windowMillis: 600_000, replayBuffer: 65_536, token: "t", epoch }
        yield* last().welcome({ connectionId: "d", session })
        const end = yield* first.closed
        assert.deepInclude(end._tag === "Failed" && end.error.reason, { _tag: "SessionLost", because })
        assert.strictEqual((yield* client.connection).id, "d")
        assert.strictEqual(count(), 2)
        assert.deepStrictEqual(events(), [
          "ConnectionReceived",
          "ConnectionInterrupted",
          "ConnectionFailure",
          "ConnectionReceived"
        ])
      }
    }))

  it.effect("stops when another has taken its place, and dials anew when the server rejects its token", () =>
    Effect.gen(function*() {
      for (const [code, retry, status] of [["REPLACED", true, "Connecting"], ["RESUME_REJECTED", true, "Connecting"]]) {
        const { client, events, last, untilNext } = yield* start()
        yield* last().welcome()
        const first = yield* client.connection
        last().link.terminate()
        yield* settle
        yield* untilNext
        yield* last().received
        last().link.send(JSON.stringify({ type: "refuse", code, reason: "", retry }))
        yield* settle
        const end = yield* first.closed
        assert.deepInclude(
          end._tag === "Failed" && end.error.reason,
          code === "REPLACED" ? { _tag: "HandshakeRefused", code } : { _tag: "SessionLost", because: "rejected" }
        )
        assert.notInclude(events(), "ConnectionAttemptFailed")
        yield* untilNext
        assert.strictEqual((yield* client.status)._tag, status)
        assert.notProperty((yield* last().received)[0], "resume")
      }
    }))
})

describe("a connection that the server has retired", () => {
  /** One call is under way on the old connection, and there is another connection. */
  const retired = Effect.gen(function*() {
    const started = yield* start()
    const { client, last } = started
    yield* last().welcome()
    const old = last()
    const connection = yield* client.connection
    const call = yield* Effect.forkChild(ApiClient.make(connection).get("/"))
    assert.isTrue((yield* old.received).some(({ _tag }) => _tag === "Request"))
    old.send(goAway(1, "NO_ERROR"))
    yield* settle
    yield* started.untilNext
    yield* last().welcome({ connectionId: "d" })
    return { ...started, old, connection, call }
  })

  it.effect("resumes to finish its calls; new calls go to the other one, and status and events are those of it", () =>
    Effect.gen(function*() {
      const { call, client, connection, last, old, untilNext } = yield* retired
      const current = yield* client.connection
      assert.strictEqual(current.id, "d")
      old.link.terminate()
      yield* settle
      assert.deepInclude(yield* client.status, { _tag: "Connected" })
      assert.strictEqual(yield* untilNext, 1)
      const session = { windowMillis: 600_000, replayBuffer: 65_536, token: "t", epoch: "e", received: 1 }
      yield* last().welcome({ resumed: true, session })
      assert.strictEqual(yield* client.connection, current)
      assert.strictEqual(yield* connection.status, "draining")
      last().send(response(1, 204))
      assert.strictEqual((yield* Fiber.join(call)).status, 204)
    }))

  it.effect("leaves the connection that a server gives it instead", () =>
    Effect.gen(function*() {
      const { client, connection, last, old, untilNext } = yield* retired
      old.link.terminate()
      yield* settle
      yield* untilNext
      yield* last().welcome({ connectionId: "x" })
      assert.strictEqual((yield* connection.closed)._tag, "Failed")
      assert.strictEqual((yield* client.connection).id, "d")
      assert.isTrue(last().link.isFull(), "its link is closed")
    }))

  it.effect("hurries with the other one when the client is told to reconnect", () =>
    Effect.gen(function*() {
      const { client, count, last, old } = yield* retired
      old.link.terminate()
      last().link.terminate()
      yield* settle
      const before = count()
      // One of the two waits a second, the other one a second more.
      yield* client.reconnect
      yield* settle
      assert.strictEqual(count(), before + 2)
    }))

  it.effect("goes on waiting with the other one, which reconnect then hurries, when its own wait is over", () =>
    Effect.gen(function*() {
      const { client, count, last, old } = yield* retired
      old.link.terminate()
      yield* settle
      yield* TestClock.adjust("500 millis")
      last().link.terminate()
      yield* settle
      const before = count()
      yield* TestClock.adjust("500 millis")
      yield* settle
      assert.strictEqual(count(), before + 1)
      yield* client.reconnect
      yield* settle
      assert.strictEqual(count(), before + 2)
    }))
})

it("refusals are final or not as the server says", () => {
  assert.isTrue(Reconnection.isRetryable(refused("remote", "FORBIDDEN", "", undefined, true)))
  assert.isFalse(Reconnection.isRetryable(refused("remote", "OVERLOADED", "", undefined, false)))
})

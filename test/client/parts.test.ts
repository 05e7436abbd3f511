/**
 * The parts of a client that decide: what it advises, when it dials at once, and which connection calls go to.
 */
import { assert, describe, it } from "@effect/vitest"
import type { RefusalCode, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Socket from "effect/socket/Socket"
import { adviceFor, PlatformAdvice } from "../../src/internal/client/advice.ts"
import { AttemptLog } from "../../src/internal/client/attemptLog.ts"
import { Backoff } from "../../src/internal/client/backoff.ts"
import { ClientConnection, ClientConnections } from "../../src/internal/client/clientConnection.ts"
import { attemptError } from "../../src/internal/client/dialling.ts"
import { goneAway, isElsewhere, left } from "../../src/internal/client/endErrors.ts"
import { ClientState } from "../../src/internal/client/state.ts"
import { shownUrl, urlFault } from "../../src/internal/client/url.ts"
import { sessionLost } from "../../src/internal/connection/endErrors.ts"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { RefusalCode as refusals } from "../../src/internal/frame/codes.ts"
import { closed, linkFailure, protocolViolation } from "../../src/internal/link/linkErrors.ts"
import { refused } from "../../src/internal/link/refusal.ts"

const failure = linkFailure("open", "why")

describe("advice", () => {
  it("is there for each refusal", () => {
    const advice = (code: RefusalCode) => adviceFor(refused("remote", code, ""), [])
    const later = new Set(["OVERLOADED", "GOING_AWAY", "RESUME_REJECTED", "REPLACED"])
    for (const code of Object.keys(refusals) as Array<RefusalCode>) {
      assert.strictEqual(advice(code) === "nothing: the server turns clients away for now", later.has(code), code)
    }
  })

  const errors: ReadonlyArray<readonly [what: string, error: SwaggerSocketError, advice: string]> = [
    ["a server that has failed", linkFailure("read", "1011 down"), "see the log of the server, which has failed"],
    ["a code that begins alike", linkFailure("read", "10111"), "or of a proxy before it"],
    ["a closed connection", closed("remote", 1000, "1011"), "or of a proxy before it"],
    ["a link that broke", linkFailure("read", "url failed"), "or of a proxy before it"],
    ["an option that failed", linkFailure("open", "headers failed: why"), "look at what the client is made with"],
    ["an option that was interrupted", linkFailure("open", "the client was interrupted"), "is made with"],
    ["a text that has such a word in it", linkFailure("open", "no url failed"), "allows this origin"],
    ["a text that has a timeout in it", linkFailure("open", "no timeout waiting"), "allows this origin"],
    ["a fault that is described so", protocolViolation("local", "PROTOCOL_ERROR", "1011"), "or of a proxy before it"],
    ["a timeout", linkFailure("open", "timeout waiting for \"open\""), "nobody answers there"],
    ["what the platform knows", linkFailure("open", "a special failure"), "special advice"]
  ]
  for (const [what, error, advice] of errors) {
    it(`for ${what} says what to look at`, () => {
      assert.include(adviceFor(error, [[/special/, "special advice"]]), advice)
    })
  }

  it.effect("of the platform is empty by default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* PlatformAdvice, [])
    }))
})

describe("the error of an attempt", () => {
  const errors: ReadonlyArray<readonly [what: string, cause: unknown, description: string]> = [
    ["an error", new Error("why"), "it failed: why"],
    ["an object with a tag", { _tag: "NoToken" }, "it failed: NoToken"],
    ["an object whose tag is no text", { _tag: 1 }, "it failed: an object without a message"],
    ["an object", {}, "it failed: an object without a message"],
    ["a text", "why", "it failed: why"],
    ["nothing", undefined, "it failed: undefined"]
  ]
  for (const [what, cause, description] of errors) {
    it(`names ${what}`, () => {
      assert.deepInclude(attemptError("it", Cause.fail(cause)).reason, {
        _tag: "LinkError",
        phase: "open",
        description
      })
    })
  }

  it("is that of the package or of the socket where there is one, and says of an interruption that it was one", () => {
    assert.strictEqual(attemptError("it", Cause.fail(failure)), failure)
    const socketError = new Socket.SocketError({
      reason: new Socket.SocketOpenError({ kind: "Timeout", cause: new Error("why") })
    })
    assert.deepInclude(attemptError("it", Cause.fail(socketError)).reason, { description: "why", cause: socketError })
    assert.deepInclude(attemptError("it", Cause.interrupt(1)).reason, { description: "it was interrupted" })
  })
})

it("a client dials at once when the server retires its connection or has lost the session", () => {
  const ends: ReadonlyArray<readonly [error: SwaggerSocketError, isElsewhere: boolean]> = [
    [goneAway, true],
    [closed("remote", 1001, "the server takes no more requests"), false],
    [sessionLost("restarted", failure), true],
    [sessionLost("rejected", failure), true],
    [sessionLost("expired", failure), false],
    [left, false],
    [failure, false]
  ]
  for (const [error, expected] of ends) assert.strictEqual(isElsewhere(error), expected, error.message)
})

it("a URL has a scheme of WebSockets and no fragment; logs show neither user nor query", () => {
  for (const scheme of ["ws", "wss", "http", "https", "ws+unix", "wss+unix"]) {
    assert.isUndefined(urlFault(`${scheme}://h/`), scheme)
  }
  for (const scheme of ["xws", "wsx", "xhttps", "unix", "ws-unix"]) assert.isDefined(urlFault(`${scheme}://h/`), scheme)
  assert.isDefined(urlFault("ws://h/#a"))
  assert.strictEqual(shownUrl("ws://me:pw@h/a?b=@\n?c#d"), "ws://h/a")
  assert.strictEqual(shownUrl("ws://h/a@b"), "ws://h/a@b")
  assert.strictEqual(shownUrl("ws://h/a#b\nc"), "ws://h/a")
})

describe("the log of attempts", () => {
  const attempt = (log: AttemptLog) => log.connecting(2)

  it.effect("knows the last failure until there is a connection", () =>
    Effect.gen(function*() {
      const log = new AttemptLog({ target: "" })
      assert.deepStrictEqual(attempt(log), { _tag: "Connecting", attempt: 2 })
      yield* log.failed(failure, true)
      assert.deepStrictEqual(attempt(log), { _tag: "Connecting", attempt: 2, error: failure })
      log.connected()
      assert.deepStrictEqual(attempt(log), { _tag: "Connecting", attempt: 2 })
    }))
})

it.effect("the log warns of a failure once, and again when somebody has asked for a new start", () => {
  const warned: Array<unknown> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") warned.push(message)
  })
  return Effect.gen(function*() {
    const log = new AttemptLog({ target: "ws://h" })
    yield* log.failed(failure, true)
    yield* log.failed(failure, true)
    assert.strictEqual(warned.length, 1)
    log.dialsAgain()
    yield* log.failed(failure, true)
    assert.strictEqual(warned.length, 2)
    log.connected()
    yield* log.failed(failure, true)
    assert.strictEqual(warned.length, 3)
    yield* log.failed(closed("remote", 1000, ""), false)
    assert.strictEqual(warned.length, 3)
  }).pipe(Effect.provide(Logger.layer([logger])))
})

describe("a connection of a client", () => {
  const driver = (session: { received: number } | undefined) =>
    ({ id: "c", session }) as unknown as ConnectionDriver<unknown, undefined>
  const session = { token: Redacted.make("t"), epoch: "e", windowMillis: 1, replayBuffer: 1 }

  /** Counts how often the delays begin anew. */
  const backoff = () => {
    let resets = 0
    const made = new Backoff(Schedule.forever)
    const reset = made.reset.bind(made)
    made.reset = () => {
      resets++
      reset()
    }
    return { made, resets: () => resets }
  }

  it("names itself, its token and what it has received when it resumes, with a higher number each time", () => {
    const { made } = backoff()
    const connection = new ClientConnection(driver({ received: 7 }), { name: "d" }, session, made)
    assert.deepStrictEqual(connection.about, { connectionId: "c", metadata: { name: "d" } })
    const resume = { connectionId: "c", token: session.token, epoch: "e", received: 7 }
    assert.deepStrictEqual(connection.nextResume(), { ...resume, attempt: 1 })
    const token = Redacted.make("u")
    connection.onResumed({ ...session, token })
    const second = connection.nextResume()
    assert.strictEqual(second?.token, token)
    assert.strictEqual(second?.attempt, 2)
    const without = new ClientConnection(driver(undefined), null, undefined, made)
    assert.isFalse(without.isResumable)
    assert.isUndefined(without.epoch)
    assert.isUndefined(without.nextResume())
  })

  it("begins its delays anew after a link that brought something, or has lived for 5 seconds", () => {
    const received = { received: 3 }
    const { made, resets } = backoff()
    const connection = new ClientConnection(driver(received), null, session, made)
    const live = (millis: number, messages: number, isLost: boolean) => {
      const before = resets()
      connection.linked(1_000_000)
      received.received += messages
      connection.unlinked(1_000_000 + millis, isLost)
      return resets() - before
    }
    assert.strictEqual(live(4999, 0, true), 0)
    assert.strictEqual(live(5000, 0, true), 1)
    assert.strictEqual(live(0, 1, true), 1)
    assert.strictEqual(live(4999, 1, false), 0)
    assert.strictEqual(live(5000, 0, false), 1)
    const before = resets()
    connection.unlinked(Infinity, true)
    assert.strictEqual(resets(), before, "it had no link")
    const without = new ClientConnection(driver(undefined), null, undefined, made)
    without.linked(0)
    without.unlinked(0, true)
    assert.strictEqual(resets(), before)
  })

  it.effect("is drained with the others while the client has it", () =>
    Effect.gen(function*() {
      const drained: Array<unknown> = []
      const all = new ClientConnections()
      const connection = new ClientConnection(
        { id: "c", drain: (...rest: ReadonlyArray<unknown>) => Effect.sync(() => drained.push(rest)) } as never,
        null,
        undefined,
        backoff().made
      )
      const slow = new ClientConnection(
        { id: "s", drain: () => Effect.never } as never,
        null,
        undefined,
        backoff().made
      )
      all.add(slow)
      assert.strictEqual(all.add(connection), connection)
      yield* Effect.forkScoped(all.drain("1 second" as never), { startImmediately: true })
      all.delete(slow)
      assert.strictEqual(drained.length, 1, "no connection waits for another")
      drained.length = 0
      yield* all.drain("1 second" as never)
      assert.deepStrictEqual(drained, [["1 second", 1001, "the client goes away"]])
      assert.strictEqual(all.delete(connection), connection)
      yield* all.drain("1 second" as never)
      assert.strictEqual(drained.length, 1)
    }))
})

describe("the state of a client", () => {
  const connectionOf = (id: string) =>
    new ClientConnection({ id } as never, null, undefined, new Backoff(Schedule.forever))
  const connecting = { _tag: "Connecting", attempt: 2 } as const
  const waiting = { _tag: "Waiting", attempt: 3, error: failure } as const

  it("calls go to the connection in use, also while it resumes, and to no other", () => {
    const state = new ClientState()
    const [current, other] = [connectionOf("a"), connectionOf("b")]
    assert.isFalse(state.isCurrent(current))
    assert.deepStrictEqual(state.told, [])
    state.dial(waiting)
    assert.strictEqual(state.now.status, waiting)
    state.dial(connecting, current)
    assert.strictEqual(state.now.status, waiting, "there is no connection to resume")
    state.open(current, [])
    assert.isTrue(state.isCurrent(current))
    assert.isFalse(state.isCurrent(other))
    state.dial(waiting, other)
    state.dial(waiting)
    assert.strictEqual(state.now._tag, "Connected", "the attempt is not for it")
    state.dial(waiting, current)
    assert.strictEqual(state.now._tag, "Resuming")
    assert.isTrue(state.isCurrent(current))
  })

  it("subscribers are told of the connection in use", () => {
    const state = new ClientState()
    const [current, other] = [connectionOf("a"), connectionOf("b")]
    const event = { _tag: "ConnectionClosed" } as never
    state.tell(current, [event])
    assert.deepStrictEqual(state.told, [])
    state.open(current, [event])
    assert.deepStrictEqual(state.told, [event])
    state.tell(other, [])
    assert.deepStrictEqual(state.told, [event])
    state.tell(current, [event, event])
    assert.deepStrictEqual(state.told, [event, event])
    assert.isTrue(state.isCurrent(current))
  })

  it.effect("calls that wait get the error for which the client stops, and wait anew when it starts again", () =>
    Effect.gen(function*() {
      const state = new ClientState()
      const found = state.now._tag === "Awaited" ? state.now.found : undefined
      state.stop(failure)
      assert.deepInclude(state.now, { _tag: "Stopped" })
      state.dial(connecting)
      assert.deepInclude(state.now, { _tag: "Stopped" })
      assert.strictEqual(yield* Effect.flip(Deferred.await(found!)), failure)
      state.restart(connecting)
      assert.strictEqual(state.now.status, connecting)
      state.release()
      assert.strictEqual(state.now.status, connecting, "nothing is in use")
      state.open(connectionOf("a"), [])
      state.release()
      assert.deepStrictEqual(state.now.status, { _tag: "Connecting", attempt: 1 })
      state.open(connectionOf("a"), [])
      state.stop(failure)
      assert.deepStrictEqual(state.now.status, { _tag: "Stopped", error: failure })
    }))
})

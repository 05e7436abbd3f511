/**
 * The parts of a server that count, choose and report, each by itself.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Socket from "effect/socket/Socket"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { linkError, linkFailure, protocolViolation } from "../../src/internal/link/linkErrors.ts"
import { refused } from "../../src/internal/link/refusal.ts"
import { RefusalLog } from "../../src/internal/observe/refusalLog.ts"
import type { Party } from "../../src/internal/quota/party.ts"
import type { Acceptor } from "../../src/internal/server/acceptor.ts"
import { CountedCalls } from "../../src/internal/server/countedCalls.ts"
import { Departure } from "../../src/internal/server/departure.ts"
import { tellLimit } from "../../src/internal/server/exceededLimits.ts"
import { tellFailedHandshake } from "../../src/internal/server/failedHandshakes.ts"
import { HandshakeBytes } from "../../src/internal/server/handshakeBytes.ts"
import { Identities, identityOptions } from "../../src/internal/server/identities.ts"
import { InterruptedSessions } from "../../src/internal/server/interruptedSessions.ts"
import { makePageCheck } from "../../src/internal/server/origin.ts"
import type { Overload } from "../../src/internal/server/overload.ts"
import { PendingHandshakes } from "../../src/internal/server/pendingHandshakes.ts"
import { find } from "../../src/internal/server/preferred.ts"
import { logRefusedUpgrade } from "../../src/internal/server/refusedUpgrade.ts"
import type { Registry } from "../../src/internal/server/registry.ts"
import * as Limits from "../../src/Limits.ts"
import { Parties } from "../quota/parties.ts"

type Driver = ConnectionDriver<unknown, unknown>

/** The lines of a log, with their levels and the annotations named. */
const recorded = () => {
  const lines: Array<readonly [level: string, text: string, annotations: Readonly<Record<string, unknown>>]> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    lines.push([logLevel, [message].flat().map(String).join(" "), fiber.getRef(References.CurrentLogAnnotations)])
  })
  const provide = <A, E>(effect: Effect.Effect<A, E>) =>
    effect.pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
  return { lines, provide }
}

describe("bytes before authentication", () => {
  const limits = { ...Limits.defaults, maxHandshakeSize: 1000, maxMessageSize: 2000 }

  const fakes = () => {
    const listeners = new Set<(chunk: Uint8Array) => void>()
    const limited: Array<number> = []
    const tcp = {
      on: (_: "data", listener: (chunk: Uint8Array) => void) => void listeners.add(listener),
      removeListener: (_: "data", listener: (chunk: Uint8Array) => void) => void listeners.delete(listener),
      removeAllListeners: () => listeners.clear()
    }
    const webSocket = { on: () => {}, terminate: () => {}, limitPayload: (bytes: number) => void limited.push(bytes) }
    const give = (bytes: number) => {
      for (const listener of listeners) listener(new Uint8Array(bytes))
    }
    return { tcp, webSocket, limited, give, listeners }
  }

  const count = (link: object, name = "v2") => {
    const errors: Array<string> = []
    const bytes = new HandshakeBytes({ link, name } as never, limits, ({ message }) => errors.push(message))
    return { bytes, errors }
  }

  it("are as many as a handshake message has, and 4 KiB; then the handshake fails once", () => {
    const { give, limited, listeners, tcp, webSocket } = fakes()
    const { errors } = count({ tcp, webSocket })
    assert.deepStrictEqual(limited, [0])
    give(96)
    give(5000)
    assert.deepStrictEqual(errors, [])
    give(1)
    give(5000)
    assert.strictEqual(errors.length, 1)
    assert.include(errors[0], "more than 1000 bytes")
    assert.strictEqual(listeners.size, 1, "further bytes are dropped")
  })

  it("count no more once the client is authenticated, and its messages may be as large as the limits say", () => {
    const { give, limited, listeners, tcp, webSocket } = fakes()
    const { bytes, errors } = count({ tcp, webSocket })
    bytes.release()
    give(10_000)
    assert.deepStrictEqual([errors, limited, listeners.size], [[], [0, 2000], 0])
  })

  it("are not counted on wire v1, or where there is no socket, and need no WebSocket that takes a limit", () => {
    const v1 = fakes()
    count({ tcp: v1.tcp, webSocket: v1.webSocket }, "v1").bytes.release()
    assert.deepStrictEqual([v1.listeners.size, v1.limited], [0, []])
    const without = fakes()
    count({ webSocket: without.webSocket }).bytes.release()
    assert.deepStrictEqual(without.limited, [])
    for (const webSocket of [undefined, {}, { terminate: () => {} }]) {
      const { tcp } = fakes()
      count({ tcp, webSocket }).bytes.release()
    }
  })
})

describe("calls of a connection", () => {
  const counted = (options: { readonly isLate?: boolean; readonly exceeded?: string }) => {
    const told: Array<unknown> = []
    const party = {
      client: { address: "a", principal: "p" },
      beginCall: () => options.exceeded && { quota: "calls", holder: { kind: options.exceeded } },
      release: (resource: string) => void told.push(resource),
      tellLimit: (...rest: ReadonlyArray<unknown>) => void told.push(rest),
      connection: (id: string) => ({ id })
    }
    const overload = { refuses: () => options.isLate === true }
    const calls = new CountedCalls(party as unknown as Party, overload as unknown as Overload, "c")
    return { calls, told }
  }

  it("are refused with 503 by the quotas of all, and with 429 by those of one", () => {
    assert.isUndefined(counted({}).calls.begin())
    assert.strictEqual(counted({ isLate: true }).calls.begin(), 503)
    assert.strictEqual(counted({ exceeded: "server" }).calls.begin(), 503)
    assert.strictEqual(counted({ exceeded: "address" }).calls.begin(), 429)
  })

  it("end, and tell of pauses as of the same connection", () => {
    const { calls, told } = counted({})
    calls.end()
    calls.paused()
    calls.paused()
    assert.deepStrictEqual(told, ["calls", ["refusedPerSecond", { id: "c" }], ["refusedPerSecond", { id: "c" }]])
    assert.strictEqual((told[1] as Array<unknown>)[1], (told[2] as Array<unknown>)[1])
    assert.deepStrictEqual(calls.client, { address: "a", principal: "p" })
  })
})

describe("handshakes in progress", () => {
  it("give way where all of a server are too many: the oldest of the address that has the most", () =>
    Effect.gen(function*() {
      const parties = new Parties({ server: { pendingHandshakes: 3 } })
      const pending = new PendingHandshakes()
      const [many, few, unknown] = [{ address: "1.1.1.1" }, { address: "2.2.2.2" }, {}].map((of) => parties.of(of))
      const begun = [many, many, few].map((party) => {
        assert.isUndefined(pending.refusal(party!))
        return pending.begin(party!)
      })
      const oldest = yield* Effect.forkChild(Effect.flip(begun[0]!.guard(Effect.never)), { startImmediately: true })
      assert.isUndefined(pending.refusal(few!))
      assert.deepInclude((yield* Fiber.join(oldest)).reason, { code: "OVERLOADED" })
      begun.push(pending.begin(few!))
      assert.deepInclude(pending.refusal(few!), { quota: "pendingHandshakes" }, "it has the most itself")
      assert.isUndefined(pending.refusal(unknown!))
      pending.begin(unknown!)
      assert.isDefined(pending.refusal(many!) ?? pending.refusal(few!))
      for (const handshake of begun) handshake.end()
      assert.isUndefined(pending.refusal(few!))
    }).pipe(Effect.runPromise))

  it("that have ended make no room: the next one does", () =>
    Effect.gen(function*() {
      const parties = new Parties({ server: { pendingHandshakes: 2 } })
      const pending = new PendingHandshakes()
      const many = parties.of({ address: "1.1.1.1" })
      pending.begin(many).end()
      const [next] = [pending.begin(many), pending.begin(many)]
      const failed = yield* Effect.forkChild(Effect.flip(next!.guard(Effect.never)), { startImmediately: true })
      assert.isUndefined(pending.refusal(parties.of({ address: "2.2.2.2" })))
      assert.deepInclude((yield* Fiber.join(failed)).reason, { code: "OVERLOADED" })
    }).pipe(Effect.timeout("5 seconds"), Effect.runPromise))

  it("are refused where one address has too many, whoever else has", () => {
    const parties = new Parties({ perAddress: { pendingHandshakes: 1 } })
    const pending = new PendingHandshakes()
    pending.begin(parties.of({ address: "1.1.1.1" }))
    assert.strictEqual(pending.refusal(parties.of({ address: "1.1.1.1" }))?.holder.kind, "address")
    assert.isUndefined(pending.refusal(parties.of({ address: "2.2.2.2" })))
  })
})

it("bytes of interrupted sessions are counted anew each second, for as long as there are any", () => {
  const parties = new Parties({ server: { interruptedBytes: 100_000 } })
  const timers: Array<() => void> = []
  const interrupted = new InterruptedSessions<unknown, unknown>(
    () => parties.of({ address: "1.1.1.1" }),
    (millis, run) => {
      assert.strictEqual(millis, 1000)
      timers.push(run)
    },
    (step) => step()
  )
  const session = (bytes: number) => {
    const given: Array<unknown> = []
    const made = {
      driver: { mux: { unreadBytes: 0, unsentBytes: 0 } },
      session: { bytes },
      giveUp: (error: unknown) => void given.push(error)
    }
    return { made, given, counted: made as unknown as Parameters<typeof interrupted.add>[0] }
  }
  const [first, second] = [session(0), session(0)]
  interrupted.add(first.counted)
  interrupted.add(second.counted)
  assert.strictEqual(timers.length, 1)
  second.made.driver.mux.unsentBytes = 80_000
  timers.shift()!()
  assert.deepStrictEqual([first.given.length, second.given.length], [0, 1])
  assert.strictEqual(timers.length, 1)
  interrupted.delete(first.counted)
  interrupted.delete(first.counted)
  timers.shift()!()
  assert.strictEqual(timers.length, 0)
})

it("a page may connect to its own host only where a host is named; 80 and 443 are whole ports", () => {
  const own = makePageCheck({})
  assert.strictEqual(own({ origin: "http://undefined" } as never), "origin")
  assert.isUndefined(own({ origin: "http://h", host: "h" } as never))
  const at = (entry: string) => makePageCheck({ hosts: [entry] })({ host: "h" } as never)
  assert.deepStrictEqual(["h:80", "h:443", "h:8080", "h:4430"].map(at), [undefined, undefined, "host", "host"])
})

it("of connections that fit, the open one is used that was heard of last", () => {
  const driver = (id: string, now: string, lastSign: number) => ({ id, now, lastSign }) as unknown as Driver
  const all = [
    driver("a", "interrupted", 9),
    driver("b", "open", 2),
    driver("c", "open", 3),
    driver("d", "open", 1),
    driver("e", "draining", 8)
  ]
  const acceptor = { connections: () => all } as unknown as Acceptor<unknown, unknown>
  const found = (ids: string) => Option.map(find(acceptor, ({ id }) => ids.includes(id)), ({ id }) => id)
  assert.deepStrictEqual(found("abcde"), Option.some("c"))
  assert.deepStrictEqual(found("ab"), Option.some("b"))
  assert.deepStrictEqual(found("be"), Option.some("b"))
  assert.deepStrictEqual(found("ae"), Option.some("a"))
  assert.deepStrictEqual(found("d"), Option.some("d"))
  assert.deepStrictEqual(found(""), Option.none())
})

it.effect("a server that goes away drains all at once, and makes no connections; its API, until that is done", () =>
  Effect.gen(function*() {
    const drained: Array<unknown> = []
    const driver = {
      drain: (...rest: ReadonlyArray<unknown>) => Effect.andThen(Effect.sync(() => drained.push(rest)), Effect.never)
    }
    const over = new Departure(Limits.defaults, () => [])
    yield* over.drainAllForNow
    assert.isFalse(over.isUnderWay)
    const departure = new Departure(Limits.defaults, () => [driver, driver] as unknown as ReadonlyArray<Driver>)
    assert.isFalse(departure.isUnderWay)
    const api = yield* Effect.forkChild(departure.drainAllForNow, { startImmediately: true })
    assert.strictEqual(drained.length, 2)
    assert.deepInclude(drained[0], Limits.defaults.drainTimeout)
    assert.deepInclude(drained[0], 1001)
    assert.isTrue(departure.isUnderWay)
    const server = yield* Effect.forkChild(departure.drainAll, { startImmediately: true })
    yield* Fiber.interrupt(api)
    assert.isTrue(departure.isUnderWay)
    yield* Fiber.interrupt(server)
    assert.isTrue(departure.isUnderWay, "for good")
    assert.isAbove(Duration.toMillis(Limits.defaults.drainTimeout), 0)
  }))

it.live("a server that goes away with very many connections drains some of them a turn", () =>
  Effect.gen(function*() {
    let turn = 0
    const drained: Array<number> = []
    const driver = { link: { tcp: {} }, drain: () => Effect.sync(() => drained.push(turn)) }
    const departure = new Departure(
      Limits.defaults,
      () => Array.from({ length: 200 }, () => driver) as unknown as ReadonlyArray<Driver>
    )
    const count = () => {
      turn++
      counting = setImmediate(count)
    }
    let counting = setImmediate(count)
    yield* departure.drainAll
    clearImmediate(counting)
    assert.lengthOf(drained, 200)
    assert.isAtLeast(new Set(drained).size, 6)
  }))

describe("limits that end a connection", () => {
  const told = (error: Parameters<typeof tellLimit>[2]) => {
    const limits: Array<unknown> = []
    const party = { tellLimit: (limit: string) => void limits.push(limit), connection: () => ({}) }
    tellLimit(party as unknown as Party, "c", error)
    return limits
  }

  it("are told by what this end says of them", () => {
    const violation = (text: string) => protocolViolation("remote", "EXCESSIVE_LOAD", text)
    assert.deepStrictEqual(told(linkFailure("write", "took too long (sendTimeout)")), ["sendTimeout"])
    assert.deepStrictEqual(told(linkFailure("read", "took too long (messageTimeout)")), ["messageTimeout"])
    for (
      const [words, limit] of [
        ["7 bytes wait for this peer", "maxUnsentBytes"],
        ["too many resets", "resetsPerSecond"],
        ["too many control frames", "controlPerSecond"],
        ["too many answers are waiting", "maxQueuedControl"],
        ["too many empty DATA", "emptyDataPerSecond"],
        ["too many GOAWAYs", "goAwaysPerSecond"]
      ] as const
    ) assert.deepStrictEqual(told(violation(words)), [limit])
    assert.deepStrictEqual(told(violation("another fault")), [])
  })

  it("are not told by what the peer says", () => {
    assert.deepStrictEqual(told(protocolViolation("local", "EXCESSIVE_LOAD", "too many resets")), [])
    assert.deepStrictEqual(told(refused("remote", "OVERLOADED", "too many resets")), [])
    const close = new Socket.SocketError({
      reason: new Socket.SocketCloseError({ code: 1011, closeReason: "too many resets" })
    })
    assert.deepStrictEqual(told(linkError("read", close)), [])
  })
})

describe("handshakes that fail", () => {
  const tell = (cause: Cause.Cause<ReturnType<typeof refused>>, hasLine = true) =>
    Effect.gen(function*() {
      const { lines, provide } = recorded()
      const events: Array<Record<string, unknown>> = []
      const registry = {
        context: Context.empty(),
        clock: { currentTimeMillisUnsafe: () => 7 },
        publish: (event: Record<string, unknown>) => void events.push(event)
      }
      const log = { hasLine: () => hasLine } as unknown as RefusalLog
      yield* provide(tellFailedHandshake(registry as unknown as Registry<unknown, unknown>, log, cause))
      return { events, lines: lines.map(([level, text]) => `${level}: ${text}`) }
    })

  it.effect("are told with their error, and whether the client dials again", () =>
    Effect.gen(function*() {
      const final = yield* tell(Cause.fail(refused("local", "FORBIDDEN", "why")))
      assert.deepInclude(final.events[0], { _tag: "ConnectionAttemptFailed", attempt: 1, willRetry: false, at: 7 })
      assert.match(final.lines[0]!, /^Warn: turned a client away: .*why/)
      const later = yield* tell(Cause.fail(refused("local", "OVERLOADED", "why")))
      assert.deepInclude(later.events[0], { willRetry: true })
      assert.match(later.lines[0]!, /^Debug: handshake failed/)
      const remote = yield* tell(Cause.fail(refused("remote", "FORBIDDEN", "why")))
      assert.match(remote.lines[0]!, /^Debug/)
      const violated = yield* tell(Cause.fail(protocolViolation("local", "PROTOCOL_ERROR", "why")))
      assert.match(violated.lines[0]!, /^Debug/)
      const lost = yield* tell(Cause.fail(linkFailure("read", "why")))
      assert.deepInclude(lost.events[0], { willRetry: false })
      assert.match(lost.lines[0]!, /^Debug/)
    }))

  it.effect("are an error of this end when they die, and nothing when they are interrupted", () =>
    Effect.gen(function*() {
      const died = yield* tell(Cause.die(new Error("a bug")))
      assert.deepInclude((died.events[0] as { readonly error: { readonly reason: object } }).error.reason, {
        _tag: "LinkError",
        phase: "open"
      })
      assert.match(died.lines[0]!, /^Error: handshake died/)
      assert.deepStrictEqual(yield* tell(Cause.interrupt(1)), { events: [], lines: [] })
    }))

  it.effect("have no line where there were too many", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* tell(Cause.die(new Error("a bug")), false)).lines, [])
      assert.deepStrictEqual((yield* tell(Cause.fail(refused("local", "FORBIDDEN", "")), false)).lines, [])
    }))
})

describe("refused upgrades", () => {
  const log = (status: number, headers: Readonly<Record<string, string>>, isOffer: boolean, hasLine = true) =>
    Effect.gen(function*() {
      const { lines, provide } = recorded()
      const request = { headers, url: `/a?${"secret"}\nb`, remoteAddress: Option.some("1.2.3.4") }
      yield* provide(logRefusedUpgrade(
        request as unknown as HttpServerRequest.HttpServerRequest,
        HttpServerResponse.empty({ status }),
        isOffer,
        { hasLine: () => hasLine } as unknown as RefusalLog
      ))
      return lines
    })

  it.effect("are warnings, with what the client has said", () =>
    Effect.gen(function*() {
      const headers = { host: "h", origin: `o\n${"x".repeat(300)}`, "sec-websocket-protocol": "p" }
      const [line, ...others] = yield* log(403, headers, false)
      assert.deepStrictEqual([line?.[0], others], ["Warn", []])
      assert.include(line?.[1], "refused an upgrade with 403: its origin")
      const { origin, ...said } = line![2] as { readonly origin: string }
      assert.deepStrictEqual(said, {
        module: "SwaggerSocketServer",
        method: "upgrade",
        path: "/a",
        host: "h",
        protocols: "p",
        remoteAddress: "1.2.3.4"
      })
      assert.isAtMost(origin.length, 210)
      assert.notInclude(origin, "\n")
      assert.notProperty((yield* log(421, {}, false))[0]![2], "origin")
    }))

  it.effect("are none where a client falls back to wire v1, which pages don't, or asks for no WebSocket", () =>
    Effect.gen(function*() {
      const level = (lines: ReadonlyArray<ReadonlyArray<unknown>>) => lines.map(([level]) => level)
      assert.deepStrictEqual(level(yield* log(400, {}, true)), ["Debug"])
      assert.deepStrictEqual(level(yield* log(400, {}, false)), ["Warn"])
      assert.deepStrictEqual(level(yield* log(403, {}, true)), ["Warn"])
      assert.deepStrictEqual(level(yield* log(400, { origin: "o" }, true)), ["Warn"])
      assert.deepStrictEqual(level(yield* log(426, {}, false)), ["Debug"])
      assert.deepStrictEqual(level(yield* log(403, {}, false, false)), [])
    }))
})

describe("identities", () => {
  const options = (policy: "replace-older" | "refuse-newer") => ({
    of: ({ metadata }: { readonly metadata: unknown }) => metadata as string | undefined,
    policy
  })
  const driver = (id: string, metadata: string | undefined, now = "open", takesRequests = true) => {
    const expelled: Array<unknown> = []
    const made = {
      id,
      metadata,
      principal: undefined,
      now,
      takesRequests,
      expel: (code: number) => void expelled.push(code)
    }
    return { driver: made as unknown as Driver, expelled }
  }

  it("a newer connection replaces the older one, whose client is told so when it resumes; an older handshake does not", () => {
    const replaced: Array<string> = []
    const identities = new Identities<unknown, unknown>(options("replace-older"), ({ id }) => void replaced.push(id))
    const [first, second, late, third] = [driver("1", "a"), driver("2", "a"), driver("3", "a"), driver("4", "a")]
    assert.isUndefined(identities.refusalToResume(first.driver, "1"))
    assert.isFalse(identities.replaces(first.driver))
    assert.isUndefined(identities.take(first.driver, 1))
    assert.isTrue(identities.replaces(second.driver))
    assert.isUndefined(identities.refusal(second.driver))
    assert.isUndefined(identities.take(second.driver, 3))
    assert.deepStrictEqual([first.expelled, replaced], [[4111], ["1"]])
    assert.deepInclude(identities.take(late.driver, 2)?.reason, { code: "IDENTITY_REPLACED" })
    assert.deepStrictEqual([second.expelled, late.expelled], [[], []])
    assert.deepInclude(identities.refusalToResume(first.driver, "1")?.reason, { code: "IDENTITY_REPLACED" })
    assert.isUndefined(identities.refusalToResume(first.driver, "2"))
    assert.isUndefined(identities.take(third.driver, 4))
    for (const id of ["1", "2"]) assert.isDefined(identities.refusalToResume(first.driver, id))
    // The older ones end later: the newest one keeps its identity.
    identities.release(first.driver)
    identities.release(second.driver)
    assert.isTrue(identities.replaces(first.driver))
    identities.release(third.driver)
    assert.isFalse(identities.replaces(first.driver))
    assert.isUndefined(identities.refusalToResume(first.driver, "1"))
  })

  it("a connection remembers the last 16 that it has replaced", () => {
    const identities = new Identities<unknown, unknown>(options("replace-older"), () => {})
    for (let count = 0; count <= 17; count++) identities.take(driver(`${count}.`, "a").driver, count)
    const isReplaced = (id: string) => identities.refusalToResume(driver("", "a").driver, id) !== undefined
    assert.deepStrictEqual(["0.", "1.", "16.", "17."].map(isReplaced), [false, true, true, false])
  })

  it("a connection that drains is replaced, and not closed: its client is not told", () => {
    const identities = new Identities<unknown, unknown>(options("replace-older"), () => assert.fail("it finishes"))
    const [first, second] = [driver("1", "a", "draining", false), driver("2", "a")]
    identities.take(first.driver, 2)
    assert.isFalse(identities.replaces(second.driver))
    assert.isUndefined(identities.take(second.driver, 1), "also by an older handshake")
    assert.deepStrictEqual(first.expelled, [])
    assert.isUndefined(identities.refusalToResume(second.driver, "1"))
  })

  it("a newer connection is refused while the older one is open, and replaces it otherwise", () => {
    const identities = new Identities<unknown, unknown>(options("refuse-newer"), () => {})
    const [first, second] = [driver("1", "a"), driver("2", "a")]
    assert.isUndefined(identities.refusal(first.driver))
    identities.take(first.driver, 1)
    assert.deepInclude(identities.refusal(second.driver)?.reason, { code: "IDENTITY_IN_USE" })
    assert.deepInclude(identities.take(second.driver, 2)?.reason, { code: "IDENTITY_IN_USE" })
    Object.assign(first.driver, { now: "interrupted" })
    assert.isUndefined(identities.take(second.driver, 2))
    assert.deepStrictEqual(first.expelled, [4111])
    assert.isUndefined(identities.refusalToResume(second.driver, "1"))
  })

  it("clients without identity are never in each other's way", () => {
    for (const given of [options("replace-older"), undefined]) {
      const identities = new Identities<unknown, unknown>(given, () => assert.fail())
      const [first, second] = [driver("1", undefined), driver("2", undefined)]
      for (const { driver } of [first, second]) {
        assert.isUndefined(identities.take(driver, 1))
        assert.isFalse(identities.replaces(driver))
        assert.isUndefined(identities.refusal(driver))
        identities.release(driver)
      }
    }
  })

  it("replace the older one by default, and need to be told who is the same", () => {
    const of = () => "a"
    assert.deepStrictEqual(identityOptions(of, undefined), { of, policy: "replace-older" })
    assert.deepStrictEqual(identityOptions(of, "refuse-newer"), { of, policy: "refuse-newer" })
    assert.isUndefined(identityOptions(of, "keep-both"))
    assert.isUndefined(identityOptions(undefined, undefined))
    assert.throws(() => identityOptions(undefined, "refuse-newer"), RangeError)
  })
})

it.effect("the log of refusals has ten lines a second, and one that counts the others", () =>
  Effect.gen(function*() {
    const forked: Array<unknown> = []
    const log = new RefusalLog("clients", (effect) => forked.push(effect))
    const lines = Array.from({ length: 12 }, () => log.hasLine())
    assert.deepStrictEqual(lines.filter(Boolean).length, 10)
    assert.strictEqual(forked.length, 1)
    yield* Effect.void
  }))

/**
 * Keys, bytes and handlers without callers are bounded, whoever causes them, and answers are kept by a clock that can't jump.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import { Entries } from "../../src/internal/idempotency/entries.ts"
import * as executeOnce from "../../src/internal/idempotency/executeOnce.ts"
import { Parties } from "../quota/parties.ts"
import { collectGarbage } from "../support/measurements.ts"
import { ask, assertAnswer, connect, eventually, fork, makeCounter, settle } from "./keyed.ts"

const bytes = (size: number) => new Uint8Array(size).fill(97)

/** The caller says who it is. */
const callerOf = (request: HttpServerRequest.HttpServerRequest) => Effect.succeed(request.headers.caller ?? "")
const caller = { scope: callerOf, principalOf: callerOf }

/** Of all callers together. */
const total = (idempotencyKeys: number | undefined, idempotencyBytes?: number) => ({
  quotas: { server: { idempotencyKeys, idempotencyBytes } }
})

describe("unattended handlers", () => {
  /** Handlers that never end, and how many of them run. */
  const makeEndless = () => {
    const running = new Map<string, number>()
    const count = (caller: string, by: number) =>
      Effect.sync(() => running.set(caller, (running.get(caller) ?? 0) + by))
    const app = Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      ({ headers }) =>
        Effect.interruptible(Effect.andThen(count(headers.caller!, 1), Effect.never)).pipe(
          Effect.onExit(() => count(headers.caller!, -1))
        )
    )
    return { running, app }
  }

  it.effect("unattended handlers are bounded: those of the caller who has the most are interrupted", () =>
    Effect.gen(function*() {
      const { app, running } = makeEndless()
      const once = (yield* Idempotency.make({ ...caller, maxUnattended: 20 }))(app)
      const honest = yield* connect(once, { caller: "honest" })
      yield* Effect.forEach([1, 2], (key) => fork(Effect.exit(ask(honest.api, `${key}`))))
      yield* eventually(() => running.get("honest") === 2)
      yield* honest.close
      for (let connection = 0; connection < 10; connection++) {
        const { api, close } = yield* connect(once, { caller: "rogue" })
        const before = running.get("rogue") ?? 0
        yield* Effect.forEach(
          Array.from({ length: 50 }, (_, key) => key),
          (key) => fork(Effect.exit(ask(api, `${connection}-${key}`)))
        )
        yield* eventually(() => running.get("rogue") === before + 50)
        yield* close
        yield* eventually(() => running.get("rogue")! <= 20)
      }
      assert.deepStrictEqual(Object.fromEntries(running), { honest: 2, rogue: 18 })
      // What was interrupted is not executed again.
      const { api } = yield* connect(once, { caller: "rogue" })
      const again = yield* ask(api, "9-49")
      assertAnswer(again, { status: 409 })
      assert.include(again.text, "its outcome is unknown")
    }))

  it.effect("a handler does not count as unattended while a repetition waits for its response", () =>
    Effect.gen(function*() {
      const { app, running } = makeEndless()
      const once = (yield* Idempotency.make({ ...caller, maxUnattended: 1 }))(app)
      const [one, two, three] = yield* Effect.forEach([1, 2, 3], () => connect(once, { caller: "one" }))
      yield* fork(Effect.exit(ask(one!.api, "a")))
      yield* eventually(() => running.get("one") === 1)
      yield* one!.close
      yield* settle
      const repeated = yield* fork(Effect.exit(ask(two!.api, "a")))
      yield* fork(Effect.exit(ask(three!.api, "b")))
      yield* eventually(() => running.get("one") === 2)
      // Only this one is waited for by nobody.
      yield* three!.close
      yield* settle
      assert.strictEqual(running.get("one"), 2)
      yield* two!.close
      yield* Fiber.await(repeated)
      yield* eventually(() => running.get("one") === 1)
    }))
})

describe("keys in progress", () => {
  /** Handlers that wait, and how many of them run. */
  const makeWaiting = () => {
    const gate = Deferred.makeUnsafe<void>()
    return { gate, counter: makeCounter(() => Effect.as(Deferred.await(gate), HttpServerResponse.text("done"))) }
  }

  const askAll = (api: Parameters<typeof ask>[0], keys: number) =>
    Effect.forEach(Array.from({ length: keys }, (_, key) => `${key}`), (key) => fork(ask(api, key)))

  it.effect("a caller's keys in progress leave room for other callers; its further requests are answered 429", () =>
    Effect.gen(function*() {
      const { counter, gate } = makeWaiting()
      const once = (yield* Idempotency.make({ ...caller, ...total(12) }))(counter.app)
      const rogue = yield* connect(once, { caller: "rogue" })
      const calls = yield* askAll(rogue.api, 30)
      yield* eventually(() => calls.filter((call) => call.pollUnsafe() !== undefined).length === 24)
      assert.strictEqual(counter.count, 6)
      const refused = yield* ask(rogue.api, "another")
      assertAnswer(refused, { status: 429 })
      assert.strictEqual(refused.headers["retry-after"], "1")
      assert.include(refused.text, "of this caller")

      const honest = yield* connect(once, { caller: "honest" })
      const honestCalls = yield* askAll(honest.api, 3)
      yield* eventually(() => counter.count === 9)
      // A repetition takes no room.
      const repetition = yield* fork(ask(rogue.api, "0"))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      for (const call of honestCalls) assertAnswer(yield* Fiber.join(call), { status: 200, text: "done" })
      assertAnswer(yield* Fiber.join(repetition), { status: 200, text: "done", replayed: true })
      const statuses = yield* Effect.forEach(calls, (call) => Effect.map(Fiber.join(call), ({ status }) => status))
      assert.strictEqual(statuses.filter((status) => status === 429).length, 24)
      assertAnswer(yield* ask(rogue.api, "another"), { status: 200, text: "done" })
    }))

  it.effect("keys in progress count for a caller across its connections", () =>
    Effect.gen(function*() {
      const { counter } = makeWaiting()
      const once = (yield* Idempotency.make({ ...caller, ...total(4) }))(counter.app)
      const [one, other] = yield* Effect.forEach([1, 2], () => connect(once, { caller: "rogue" }))
      yield* askAll(one!.api, 2)
      yield* eventually(() => counter.count === 2)
      assertAnswer(yield* ask(other!.api, "another"), { status: 429 })
    }))
})

describe("kept bytes", () => {
  const answers = (size: number) => makeCounter(() => Effect.succeed(HttpServerResponse.uint8Array(bytes(size))))

  it.effect("bytes of kept responses are bounded: the oldest response is forgotten", () =>
    Effect.gen(function*() {
      const counter = answers(1000)
      const { api } = yield* connect((yield* Idempotency.make(total(undefined, 3500)))(counter.app))
      for (const key of ["a", "b", "c", "d"]) yield* ask(api, key)
      for (const key of ["b", "c", "d"]) assertAnswer(yield* ask(api, key), { status: 200, replayed: true })
      assert.strictEqual(counter.count, 4)
      assertAnswer(yield* ask(api, "a"), { status: 200 })
    }))

  it.effect("a caller with far more responses and keys than others loses the oldest of its own", () =>
    Effect.gen(function*() {
      for (const options of [total(undefined, 100_000), total(90)]) {
        const counter = answers(1000)
        const once = (yield* Idempotency.make({ ...caller, ...options }))(counter.app)
        const honest = yield* connect(once, { caller: "honest" })
        const rogue = yield* connect(once, { caller: "rogue" })
        for (let key = 0; key < 10; key++) yield* ask(honest.api, `${key}`)
        for (let key = 0; key < 300; key++) yield* ask(rogue.api, `${key}`)
        for (let key = 10; key < 20; key++) yield* ask(honest.api, `${key}`)
        for (let key = 0; key < 20; key++) {
          assertAnswer(yield* ask(honest.api, `${key}`), { status: 200, replayed: true })
        }
        assertAnswer(yield* ask(rogue.api, "299"), { status: 200, replayed: true })
        assert.strictEqual(counter.count, 320)
        assertAnswer(yield* ask(rogue.api, "0"), { status: 200 })
      }
    }))

  it.effect("responses and request bodies that find no room in memory are passed on", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() =>
        Effect.map(HttpServerRequest.HttpServerRequest, (request) => HttpServerResponse.stream(request.stream))
      )
      const { api } = yield* connect((yield* Idempotency.make(total(undefined, 999)))(counter.app))
      const body = HttpBody.uint8Array(bytes(1000))
      assertAnswer(yield* ask(api, "k", { body }), { status: 200, text: "a".repeat(1000) })
      const again = yield* ask(api, "k", { body })
      assertAnswer(again, { status: 409 })
      assert.include(again.text, "not kept")
      assertAnswer(yield* ask(api, "k", { body: HttpBody.uint8Array(bytes(1000).fill(98, 999)) }), { status: 422 })
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("request bodies that are announced and not sent take no kept response from others", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.arrayBuffer).pipe(
          Effect.orDie,
          Effect.as(HttpServerResponse.uint8Array(bytes(1000)))
        )
      )
      const once = (yield* Idempotency.make({ ...caller, ...total(undefined, 30_000) }))(counter.app)
      const honest = yield* connect(once, { caller: "honest" })
      for (let key = 0; key < 20; key++) yield* ask(honest.api, `${key}`)
      const rogue = yield* connect(once, { caller: "rogue" })
      const body = () => HttpBody.stream(Stream.never, "text/plain", 1000)
      yield* Effect.forEach(
        Array.from({ length: 90 }, (_, key) => key),
        (key) => fork(Effect.exit(ask(rogue.api, `${key}`, { body: body() })))
      )
      yield* settle
      for (let key = 0; key < 20; key++) {
        assertAnswer(yield* ask(honest.api, `${key}`), { status: 200, replayed: true })
      }
      assertAnswer(yield* ask(honest.api, "with-a-body", { body: HttpBody.uint8Array(bytes(1000)) }), { status: 200 })
      assertAnswer(yield* ask(honest.api, "with-a-body", { body: HttpBody.uint8Array(bytes(1000)) }), {
        status: 200,
        replayed: true
      })
      yield* rogue.close
    }))

  it.effect("responses in progress that fill the memory take room from the caller who has most of them alone", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() =>
        Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          headers.caller === "rogue"
            ? HttpServerResponse.stream(Stream.concat(Stream.make(bytes(1000)), Stream.never))
            : HttpServerResponse.uint8Array(bytes(1000)))
      )
      const once = (yield* Idempotency.make({ ...caller, ...total(undefined, 30_000) }))(counter.app)
      const honest = yield* connect(once, { caller: "honest" })
      for (let key = 0; key < 10; key++) yield* ask(honest.api, `${key}`)
      const rogue = yield* connect(once, { caller: "rogue" })
      yield* Effect.forEach(
        Array.from({ length: 90 }, (_, key) => key),
        (key) => fork(Effect.exit(ask(rogue.api, `${key}`)))
      )
      yield* eventually(() => counter.count === 100)
      yield* settle
      // Both have about the same then.
      for (let key = 9; key >= 5; key--) assertAnswer(yield* ask(honest.api, `${key}`), { status: 200, replayed: true })
      assertAnswer(yield* ask(honest.api, "another"), { status: 200 })
      assertAnswer(yield* ask(honest.api, "another"), { status: 200, replayed: true })
      yield* rogue.close
    }))

  it.live("an answer that is kept does not keep its request in memory", () =>
    Effect.gen(function*() {
      const bodies: Array<WeakRef<Uint8Array>> = []
      const counter = makeCounter(() =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ stream }) =>
          Stream.runForEach(stream, (chunk) => Effect.sync(() => bodies.push(new WeakRef(chunk))))).pipe(
            Effect.orDie,
            Effect.as(HttpServerResponse.text("done"))
          )
      )
      const { api } = yield* connect((yield* Idempotency.make())(counter.app))
      const call = (key: number) =>
        ask(api, `${key}`, { body: HttpBody.uint8Array(bytes(5000)) })
      for (let key = 0; key < 20; key++) yield* call(key)
      assert.lengthOf(bodies, 20)
      yield* collectGarbage
      // The last ones may be on a stack still.
      assert.isAtMost(bodies.filter((body) => body.deref() !== undefined).length, 4)
      for (let key = 0; key < 20; key++) assertAnswer(yield* call(key), { status: 200, text: "done", replayed: true })
    }))

  it.effect("bytes are given back, however requests end", () =>
    Effect.gen(function*() {
      const parties = new Parties()
      const party = parties.of({ address: "10.0.0.1" })
      const entries = new Entries(party.holders[1]!, parties.process, { maxUnattended: 3, timeToLive: 1000 })
      const once = executeOnce.make({
        applies: () => true,
        entries,
        maxAnswerSize: 1000,
        maxRequestSize: 1000,
        partyOf: () => Effect.succeed(party),
        scope: yield* Effect.scope,
        scopeOf: () => Effect.succeed(""),
        settles: ({ status }) => status !== 429,
        store: undefined
      })
      const gate = Deferred.makeUnsafe<void>()
      const apps = [
        Effect.succeed(HttpServerResponse.empty({ status: 429 })),
        Effect.succeed(HttpServerResponse.uint8Array(bytes(2000))),
        Effect.succeed(HttpServerResponse.stream(Stream.make(bytes(600), bytes(600)))),
        Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(bytes(600)), Stream.die("torn")))),
        Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(bytes(600)), Stream.never))),
        Effect.die("no"),
        Effect.interrupt,
        Effect.as(Deferred.await(gate), HttpServerResponse.empty({ status: 429 })),
        Effect.never
      ]
      const request = [HttpBody.uint8Array(bytes(900)), HttpBody.stream(Stream.make(bytes(900)))]
      for (const [index, app] of apps.entries()) {
        for (const [kind, body] of request.entries()) {
          const { api, close } = yield* connect(once(Effect.interruptible(app)))
          const key = `${index}-${kind}`
          const calls = yield* Effect.forEach([body, body, HttpBody.uint8Array(bytes(800))], (body) =>
            fork(Effect.exit(ask(api, key, { body }))))
          yield* settle
          yield* close
          for (const call of calls) {
            yield* Fiber.await(call)
          }
        }
      }
      yield* Deferred.succeed(gate, undefined)
      // Three handlers that never end hold their requests, of which those with a known length are in memory.
      yield* eventually(() =>
        entries.bytes <= 3 * (900 + 600)
      )
      const held = entries.bytes
      const { api } = yield* connect(once(makeCounter().app))
      yield* ask(api, "last")
      assert.isBelow(entries.bytes - held, 200)
      assert.isBelow(parties.process.holder.used("memory"), held + 100 * 1024)
    }))
})

/** Keeps answers of one address until the time `1000`. */
const makeEntries = () => {
  const parties = new Parties()
  const party = parties.of({ address: "10.0.0.1" })
  const entries = new Entries(party.holders[1]!, parties.process, { maxUnattended: 3, timeToLive: 1000 })
  const keep = (id: string) => {
    entries.add(id, party)
    entries.end(id, { print: { head: "" }, done: true }, 0)
  }
  return { entries, keep, party, kept: () => party.holders[0]!.used("idempotencyKeys") }
}

describe("memory of the process", () => {
  it("whoever makes room finds out that another one has made it", () => {
    const { entries, keep, kept, party } = makeEntries()
    keep("ended")
    entries.add("in progress", party)
    const [one, other] = [entries.evictor(), entries.evictor()]
    assert.isAbove(one.most, 0)
    other.giveUp(party.holders[1]!)
    assert.strictEqual(kept(), 1)
    assert.strictEqual(one.most, 0)
  })
})

describe("time to live", () => {
  it("answers whose time is over are forgotten a few for each request, and none of them is given", () => {
    const { entries, keep, kept } = makeEntries()
    for (let n = 0; n < 100; n++) keep(`${n}`)
    assert.isDefined(entries.find("99", 999))
    assert.strictEqual(kept(), 100)
    assert.isUndefined(entries.find("99", 1000))
    assert.isAbove(kept(), 80)
    for (let n = 0; n < 10; n++) entries.find("another", 1000)
    assert.strictEqual(kept(), 0)
  })

  it.effect("responses stay kept for their time to live when the clock of the machine is set", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const clock = yield* Clock.Clock
      let set = 0
      const jumping: Clock.Clock = Object.assign(Object.create(clock) as Clock.Clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + set,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + set)
      })
      const once = (yield* Idempotency.make())(counter.app)
      const { api } = yield* connect(Effect.provideService(once, Clock.Clock, jumping))
      yield* ask(api, "k")
      for (const jump of [48, -96]) {
        set += jump * 3_600_000
        assertAnswer(yield* ask(api, "k"), { status: 200, replayed: true })
      }
      assert.strictEqual(counter.count, 1)
    }))
})

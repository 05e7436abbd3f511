/**
 * PROTOCOL.md, "Sessions", on both ends at once: what callers and handlers see of links that are lost, with time under
 * control.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import { HeartbeatTimeout, outcomeOf, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Random } from "../support/random.ts"

/** How long a client waits before each attempt. */
const back = Duration.seconds(1)

/** What the handlers of one end have seen. */
interface Seen {
  calls: number
  interrupted: number
}

const chunkSize = 3000
const chunks = 100

/** The same bytes each time, none of them like the one before. */
const content = new Random(7).bytes(chunkSize * chunks)

/** The content, over ten seconds. */
const slowly = Stream.mapEffect(
  Stream.range(0, chunks - 1),
  (index) => Effect.as(Effect.sleep("100 millis"), content.slice(index * chunkSize, (index + 1) * chunkSize))
)

const routes = (seen: Seen) => {
  const counted = <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.suspend(() => {
      seen.calls++
      return Effect.onInterrupt(app, () => Effect.sync(() => seen.interrupted++))
    })
  return Layer.mergeAll(
    HttpRouter.add("POST", "/never", counted(Effect.never)),
    HttpRouter.add("POST", "/now", counted(Effect.succeed(HttpServerResponse.text("done")))),
    HttpRouter.add("POST", "/slow", counted(Effect.as(Effect.sleep("10 seconds"), HttpServerResponse.text("done")))),
    HttpRouter.add("GET", "/download", counted(Effect.sync(() => HttpServerResponse.stream(slowly)))),
    HttpRouter.add(
      "POST",
      "/upload",
      counted(Effect.gen(function*() {
        const body = yield* (yield* HttpServerRequest.HttpServerRequest).arrayBuffer
        return HttpServerResponse.text(String(Buffer.compare(Buffer.from(body), content)))
      }))
    ),
    HttpRouter.add(
      "POST",
      "/echo",
      counted(Effect.map(HttpServerRequest.HttpServerRequest, ({ stream }) => HttpServerResponse.stream(stream)))
    )
  )
}

const serve = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const seen: Seen = { calls: 0, interrupted: 0 }
  yield* Layer.build(
    HttpRouter.serve(routes(seen), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(ApiServer.layerConnection(connection))
    )
  )
  return seen
})

/** No test that fails waits for a clock that nobody moves any more. */
const atOnce = { drainTimeout: 0 }

type PairOptions = Parameters<typeof SwaggerSocketTest.makePair>[0] & { readonly back?: Duration.Input }

/** Both ends of a connection, each of which serves and calls. */
const connect = Effect.fnUntraced(function*(options: PairOptions = {}) {
  const { limits, serverLimits } = options
  const pair = yield* SwaggerSocketTest.makePair({
    limits: { ...atOnce, ...limits },
    serverLimits: { ...atOnce, ...serverLimits }
  }).pipe(
    Effect.provide(Reconnection.layer({ schedule: Schedule.spaced(options.back ?? back) }))
  )
  const ends = {
    near: { connection: pair.client, api: ApiClient.make(pair.client), seen: yield* serve(pair.client) },
    far: { connection: pair.server, api: ApiClient.make(pair.server), seen: yield* serve(pair.server) }
  }
  return { ...pair, ...ends, ends: [ends.near, ends.far] }
})

type End = Effect.Success<ReturnType<typeof connect>>["near"]

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const textOf = (end: End, path: string) => Effect.flatMap(end.api.post(path), (response) => response.text)

const statusIs = ({ connection }: End, expected: Connection.Status) =>
  Effect.map(connection.status, (status) => assert.strictEqual(status, expected))

const silent = new SwaggerSocketError({ reason: new HeartbeatTimeout({ timeoutMillis: 20_000 }) })

/** What is under way gets as far as it can without time. */
const turn = TestClock.adjust(0)

/** Whatever was done to the connection, it goes on. */
const goesOn = ({ ends }: { readonly ends: ReadonlyArray<End> }) =>
  Effect.gen(function*() {
    for (const end of ends) {
      const calling = yield* fork(textOf(end, "/now"))
      yield* turn
      assert.strictEqual(yield* Fiber.join(calling), "done")
      yield* statusIs(end, "open")
    }
  })

describe("lost link", () => {
  it.effect("calls in progress and new calls wait while the link is lost, and succeed on the next", () =>
    Effect.gen(function*() {
      const pair = yield* connect()
      const slow = yield* Effect.forEach(pair.ends, (end) => fork(textOf(end, "/slow")))
      yield* turn
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.calls), [1, 1])
      yield* pair.cut
      yield* turn
      const late = yield* Effect.forEach(pair.ends, (end) => fork(textOf(end, "/now")))
      yield* TestClock.adjust("999 millis")
      for (const end of pair.ends) yield* statusIs(end, "interrupted")
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.calls), [1, 1], "nothing arrives meanwhile")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Effect.forEach(late, Fiber.join), ["done", "done"])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(yield* Effect.forEach(slow, Fiber.join), ["done", "done"])
      yield* goesOn(pair)
    }))

  it.effect("handlers run on while the link is lost, and their responses wait", () =>
    Effect.gen(function*() {
      const pair = yield* connect({ back: "1 minute" })
      const slow = yield* Effect.forEach(pair.ends, (end) => fork(textOf(end, "/slow")))
      yield* turn
      yield* pair.cut
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(slow.map((fiber) => fiber.pollUnsafe()), [undefined, undefined])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Effect.forEach(slow, Fiber.join), ["done", "done"])
    }))

  it.effect("the caller's own timeout holds while the link is lost, and the handler is interrupted on the next link", () =>
    Effect.gen(function*() {
      const pair = yield* connect({ back: "5 seconds" })
      const calls = yield* Effect.forEach(
        pair.ends,
        ({ api }) => fork(Effect.flip(Effect.timeout(api.post("/never"), "2 seconds")))
      )
      yield* turn
      yield* pair.cut
      yield* TestClock.adjust("2 seconds")
      for (const call of calls) assert.strictEqual((yield* Fiber.join(call))._tag, "TimeoutError")
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.interrupted), [0, 0])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.interrupted), [1, 1])
      yield* goesOn(pair)
    }))

  it.effect("a caller that is interrupted does not wait for the lost link", () =>
    Effect.gen(function*() {
      const pair = yield* connect()
      const sent = yield* Effect.forEach(pair.ends, ({ api }) => fork(api.post("/never")))
      yield* turn
      yield* pair.cut
      yield* turn
      const waiting = yield* Effect.forEach(pair.ends, ({ api }) => fork(api.post("/never")))
      // Both return though no time passes.
      yield* Fiber.interruptAll([...sent, ...waiting])
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.interrupted), [0, 0])
      yield* TestClock.adjust(back)
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.interrupted), [1, 1])
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.calls), [1, 1], "calls that were not sent are forgotten")
      yield* goesOn(pair)
    }))

  for (const which of ["near", "far"] as const) {
    it.effect(`close() by the ${which === "near" ? "client" : "server"} ends an interrupted connection at once`, () =>
      Effect.gen(function*() {
        const pair = yield* connect()
        const end = pair[which]
        const call = yield* fork(Effect.flip(end.api.post("/never")))
        yield* turn
        yield* pair.cut
        yield* turn
        // It returns though no time passes.
        yield* end.connection.close({ code: 4321, reason: "enough" })
        const closed = { _tag: "Closed", initiator: "local", code: 4321, reason: "enough" } as const
        assert.deepStrictEqual(yield* end.connection.closed, closed)
        assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
        // The other end finds out when it asks for the connection, or when nobody does.
        yield* TestClock.adjust("2 minutes")
        const other = pair[which === "near" ? "far" : "near"]
        const ended = yield* other.connection.closed
        assert.strictEqual(ended._tag === "Failed" && ended.error.reason._tag, "SessionLost")
        assert.strictEqual(other.seen.interrupted, 1)
      }))
  }
})

describe("resume window", () => {
  for (const which of ["limits", "serverLimits"] as const) {
    it.effect(`the ${which === "limits" ? "client" : "server"}'s window, when it is the shorter one, holds for both ends`, () =>
      Effect.gen(function*() {
        const pair = yield* connect({
          limits: { maxConcurrentStreams: 1 },
          serverLimits: { maxConcurrentStreams: 1 },
          [which]: { resumeWindow: "10 seconds", maxConcurrentStreams: 1 },
          back: "1 hour"
        })
        const call = ({ api }: End) => fork(Effect.flip(api.post("/never")))
        const sent = yield* Effect.forEach(pair.ends, call)
        yield* turn
        const queued = yield* Effect.forEach(pair.ends, call)
        yield* turn
        yield* pair.cut
        yield* turn
        const late = yield* Effect.forEach(pair.ends, call)
        yield* TestClock.adjust("9999 millis")
        for (const end of pair.ends) yield* statusIs(end, "interrupted")
        assert.deepStrictEqual(pair.ends.map(({ seen }) => seen.interrupted), [0, 0])
        assert.isTrue([...sent, ...queued, ...late].every((fiber) => fiber.pollUnsafe() === undefined))
        yield* TestClock.adjust("1 millis")
        for (const [calls, outcome] of [[sent, "unknown"], [queued, "not-sent"], [late, "not-sent"]] as const) {
          for (const call of calls) assert.strictEqual(outcomeOf(yield* Fiber.join(call)), outcome)
        }
        assert.deepStrictEqual(pair.ends.map(({ seen }) => seen), [
          { calls: 1, interrupted: 1 },
          { calls: 1, interrupted: 1 }
        ])
        for (const end of pair.ends) {
          yield* statusIs(end, "closed")
          const ended = yield* end.connection.closed
          assert.deepInclude(ended._tag === "Failed" && ended.error.reason, { _tag: "SessionLost", because: "expired" })
        }
      }))
  }

  it.effect("the window begins anew with each lost link", () =>
    Effect.gen(function*() {
      const pair = yield* connect({ limits: { resumeWindow: "10 seconds" }, back: "9 seconds" })
      for (let i = 0; i < 5; i++) {
        yield* pair.cut
        yield* TestClock.adjust("9 seconds")
        yield* goesOn(pair)
      }
    }))

  for (const which of ["limits", "serverLimits"] as const) {
    it.effect(`a window of 0 on the ${which === "limits" ? "client" : "server"} ends the connection with its link`, () =>
      Effect.gen(function*() {
        const pair = yield* connect({ [which]: { resumeWindow: 0 } })
        const calls = yield* Effect.forEach(pair.ends, ({ api }) => fork(Effect.flip(api.post("/never"))))
        yield* turn
        yield* pair.cut
        yield* turn
        for (const call of calls) assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
        for (const end of pair.ends) {
          const ended = yield* end.connection.closed
          assert.strictEqual(ended._tag === "Failed" && ended.error.reason._tag, "LinkError")
          assert.strictEqual(end.seen.interrupted, 1)
        }
      }))
  }
})

describe("drain", () => {
  for (const which of ["near", "far"] as const) {
    it.effect(`a drain by the ${which === "near" ? "client" : "server"} waits for a lost link no longer than closeTimeout`, () =>
      Effect.gen(function*() {
        const limits = { closeTimeout: "5 seconds" } as const
        const pair = yield* connect({ limits, serverLimits: limits, back: "1 hour" })
        const { api, connection } = pair[which]
        const call = yield* fork(Effect.flip(api.post("/never")))
        yield* turn
        yield* fork(connection.close({ drain: "1 hour" }))
        yield* turn
        yield* pair.cut
        yield* TestClock.adjust("4999 millis")
        yield* statusIs(pair[which], "interrupted")
        yield* TestClock.adjust("1 millis")
        yield* statusIs(pair[which], "closed")
        assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      }))

    it.effect(`a drain by the ${which === "near" ? "client" : "server"} ends with a window shorter than closeTimeout`, () =>
      Effect.gen(function*() {
        const limits = { closeTimeout: "10 seconds", resumeWindow: "2 seconds" } as const
        const pair = yield* connect({ limits, serverLimits: limits, back: "1 hour" })
        yield* fork(pair[which].api.post("/never"))
        yield* turn
        yield* fork(pair[which].connection.close({ drain: "1 hour" }))
        yield* turn
        yield* pair.cut
        yield* TestClock.adjust("1999 millis")
        yield* statusIs(pair[which], "interrupted")
        yield* TestClock.adjust("1 millis")
        yield* statusIs(pair[which], "closed")
      }))
  }
})

describe("bodies over many links", () => {
  const collect = (stream: Stream.Stream<Uint8Array, unknown>) =>
    Effect.map(Stream.runCollect(stream), (parts) => Buffer.compare(Buffer.concat(parts), content))

  const upload = (path: string) => HttpClientRequest.bodyStream(HttpClientRequest.post(path), slowly)

  it.effect("bodies of responses and requests arrive whole over 20 links, in both API directions", () =>
    Effect.gen(function*() {
      const pair = yield* connect({ back: "20 millis" })
      const random = new Random(20)
      const calls = yield* Effect.forEach(pair.ends, ({ api }) =>
        fork(Effect.all([
          Effect.flatMap(api.get("/download"), ({ stream }) => collect(stream)),
          Effect.map(Effect.flatMap(api.execute(upload("/upload")), ({ text }) => text), Number),
          Effect.flatMap(api.execute(upload("/echo")), ({ stream }) => collect(stream))
        ], { concurrency: "unbounded" })))
      for (let cut = 0; cut < 20; cut++) {
        yield* TestClock.adjust(100 + random.int(300))
        // Until the ends are in the middle of something.
        for (let turns = random.int(30); turns > 0; turns--) yield* Effect.yieldNow
        yield* pair.cut
        assert.deepStrictEqual(calls.map((call) => call.pollUnsafe()), [undefined, undefined])
        yield* TestClock.adjust("20 millis")
      }
      yield* TestClock.adjust("10 seconds")
      for (const call of calls) assert.deepStrictEqual(yield* Fiber.join(call), [0, 0, 0])
      assert.deepStrictEqual(pair.ends.map(({ seen }) => seen), [{ calls: 3, interrupted: 0 }, {
        calls: 3,
        interrupted: 0
      }])
      yield* goesOn(pair)
    }))

  it.effect("bodies that fill the buffers while the link is lost go on when there is room", () =>
    Effect.gen(function*() {
      const limits = { replayBuffer: 32_768, sendBuffer: 4096 }
      const pair = yield* connect({ limits, serverLimits: limits, back: "1 minute" })
      const download = yield* fork(Effect.flatMap(pair.near.api.get("/download"), ({ stream }) => collect(stream)))
      const uploading = yield* fork(Effect.flatMap(pair.near.api.execute(upload("/upload")), ({ text }) => text))
      yield* TestClock.adjust("1 second")
      yield* pair.cut
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(download), 0)
      assert.strictEqual(yield* Fiber.join(uploading), "0")
    }))
})

describe("link that is lost again", () => {
  /** Where in a handshake, and on which end. */
  const steps = [
    "before hello is sent",
    "before hello is read",
    "before welcome is sent",
    "before welcome is read",
    "before ready is sent",
    "before ready is read",
    "after ready"
  ] as const

  for (const step of steps) {
    it.effect(`a link that is lost ten times ${step} is followed by an attempt that resumes the connection`, () =>
      Effect.gen(function*() {
        const world: { cut: Effect.Effect<void>; left: number } = { cut: Effect.void, left: 0 }
        const at = (reached: typeof steps[number]) =>
          Effect.suspend(() => {
            if (reached !== step || world.left === 0) return Effect.void
            world.left--
            return world.cut
          })
        const standard = { accept: yield* Handshake.Accept, dial: yield* Handshake.Dial }
        const cutting = Handshake.layer({
          dial: (link, options) =>
            Effect.tap(
              standard.dial({
                receive: Effect.andThen(at("before welcome is read"), link.receive),
                send: (message) =>
                  Effect.andThen(
                    at(message.includes(`"ready"`) ? "before ready is sent" : "before hello is sent"),
                    link.send(message)
                  )
              }, options),
              at("after ready")
            ),
          accept: (link, options) =>
            Effect.map(
              standard.accept({
                receive: Effect.andThen(at("before hello is read"), link.receive),
                send: (message) => Effect.andThen(at("before welcome is sent"), link.send(message))
              }, options),
              (accepted) => ({ ...accepted, ready: Effect.andThen(at("before ready is read"), accepted.ready) })
            )
        })
        const pair = yield* Effect.provide(connect(), cutting)
        world.cut = pair.cut
        const slow = yield* Effect.forEach(pair.ends, (end) => fork(textOf(end, "/slow")))
        const never = yield* Effect.forEach(pair.ends, ({ api }) => fork(api.post("/never")))
        yield* turn
        world.left = 10
        yield* pair.cut
        for (let i = 0; i < 10; i++) {
          assert.strictEqual(world.left, 10 - i)
          yield* TestClock.adjust(back)
          for (const end of pair.ends) assert.strictEqual(end.seen.interrupted, 0)
        }
        yield* TestClock.adjust(back)
        assert.strictEqual(world.left, 0)
        assert.deepStrictEqual(yield* Effect.forEach(slow, Fiber.join), ["done", "done"])
        yield* Fiber.interruptAll(never)
        yield* goesOn(pair)
        assert.deepStrictEqual(pair.ends.map(({ seen }) => seen), [{ calls: 3, interrupted: 1 }, {
          calls: 3,
          interrupted: 1
        }])
      }))
  }
})

describe("resumed link", () => {
  it.effect("a resumed link is closed with 1001 when the client's scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pair = yield* Scope.provide(connect(), scope)
      yield* pair.cut
      yield* TestClock.adjust(back)
      yield* goesOn(pair)
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* pair.server.closed, { _tag: "Closed", initiator: "remote", code: 1001 })
    }))
})

describe("reconnect", () => {
  class Peers extends SwaggerSocketServer.Service<Peers>()("test/resume/Peers") {}

  it.effect("reconnect hurries the current connection, whatever a retired connection is doing", () => {
    const silences: Array<Deferred.Deferred<never, SwaggerSocketError>> = []
    const beats = Layer.succeed(Heartbeat.Heartbeat, () =>
      Effect.sync(() => {
        const silence = Deferred.makeUnsafe<never, SwaggerSocketError>()
        silences.push(silence)
        return { run: Deferred.await(silence), onPing() {}, onPong() {} }
      }))
    return Effect.gen(function*() {
      const client = yield* SwaggerSocketClient
      const server = yield* Peers
      const retired = yield* client.connection
      yield* serve(yield* server.awaitConnection())
      const calling = yield* fork(ApiClient.make(retired).post("/never"))
      // Sooner the client would wait before it dials anew.
      yield* TestClock.adjust("6 seconds")
      yield* fork((yield* server.awaitConnection()).close({ drain: "1 hour" }))
      yield* turn
      const connection = yield* client.connection
      assert.notStrictEqual(connection, retired)
      // Each link has two heartbeats, one on each end.
      yield* Deferred.fail(silences[0]!, silent)
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.fail(silences[2]!, silent)
      yield* turn
      assert.deepStrictEqual([yield* retired.status, yield* connection.status], ["interrupted", "interrupted"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual([yield* retired.status, yield* connection.status], ["draining", "interrupted"])
      yield* client.reconnect
      yield* turn
      assert.strictEqual(yield* connection.status, "open")
      yield* Fiber.interrupt(calling)
      yield* turn
    }).pipe(Effect.provide(
      SwaggerSocketTest.layer(Peers, { serverLimits: { closeTimeout: "1 minute" } }).pipe(
        Layer.provide([beats, Reconnection.layer({ schedule: Schedule.spaced("10 seconds") })])
      )
    ))
  })
})

describe("heartbeat timeout", () => {
  for (const which of [0, 1]) {
    it.effect(`a heartbeat timeout on ${which === 0 ? "one" : "the other"} end interrupts the connection, but does not end it`, () =>
      Effect.gen(function*() {
        const silence = Deferred.makeUnsafe<never, SwaggerSocketError>()
        let made = 0
        const beats = Layer.succeed(Heartbeat.Heartbeat, () =>
          Effect.sync(() => ({
            run: made++ === which ? Deferred.await(silence) : Effect.never,
            onPing() {},
            onPong() {}
          })))
        const pair = yield* Effect.provide(connect(), beats)
        const slow = yield* Effect.forEach(pair.ends, (end) => fork(textOf(end, "/slow")))
        yield* turn
        yield* Deferred.fail(silence, silent)
        yield* turn
        for (const end of pair.ends) yield* statusIs(end, "interrupted")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Effect.forEach(slow, Fiber.join), ["done", "done"])
        assert.strictEqual(made, 4, "each link has heartbeats of its own")
        yield* goesOn(pair)
      }))
  }
})

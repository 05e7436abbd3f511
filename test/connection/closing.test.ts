/**
 * Closing a connection, on both wires: which calls are still sent, what the peer is told, and for what a close waits.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { isSwaggerSocketError, outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { forHandshake } from "../../src/internal/handshake/handshakeLink.ts"
import type { Link } from "../../src/internal/link/link.ts"
import * as memoryLink from "../../src/internal/link/memoryLink.ts"
import { acceptorOf } from "../../src/internal/server/acceptor.ts"
import { defaults } from "../../src/Limits.ts"
import { readings, serve as serveWeather } from "../streaming/weather.ts"
import { MiB } from "../support/bodies.ts"
import { type Ends, Hub, layerHub, roles, serveRoutes, socketUrl } from "../support/connections.ts"
import { counting, once, slow, start, text, until } from "../support/draining.ts"
import { request } from "../support/frames.ts"
import { dial as dialRaw } from "../support/rawPeer.ts"
import { eventually, turn } from "../support/waiting.ts"
import { startClient, startHub } from "../v1/peers.ts"

const sides = ["server", "client"] as const
const wires = ["v2", "v1"] as const

/** A drain that takes as long as it may ends the test. */
const patient = { drainTimeout: "1 hour", closeTimeout: "500 millis" } as const

/** Both ends of a connection on loopback, each of which can be closed with all that it is made of. */
const join = Effect.fnUntraced(function*(wire: "v1" | "v2", limits?: Limits.Options) {
  const scopes = { server: yield* Scope.make(), client: yield* Scope.make() }
  for (const side of sides) yield* Effect.addFinalizer((exit) => Scope.close(scopes[side], exit))
  const context = yield* Layer.buildWithScope(layerHub({ limits }), scopes.server)
  const url = yield* Effect.provide(socketUrl, context)
  const services = yield* Layer.buildWithScope(
    ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({ url, wire, limits })),
      Layer.provide(Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor, Limits.layer(limits ?? {})))
    ),
    scopes.client
  )
  const client = yield* Context.get(services, SwaggerSocketClient.SwaggerSocketClient).connection
  const server = yield* Context.get(context, Hub).awaitConnection(({ id }) => id === client.id)
  const ends: Ends = { client, server }
  return {
    ends,
    hub: Context.get(context, Hub),
    /** Of the client, to whatever it is connected with. */
    api: Context.get(services, HttpClient.HttpClient),
    close: (side: "client" | "server") => Scope.close(scopes[side], Exit.void)
  }
})

describe("end that drains", () => {
  for (const wire of wires) {
    for (const closing of sides) {
      const other = closing === "server" ? "client" : "server"

      it.live(`new calls of a ${closing} that drains are not sent, and fail at once, on wire ${wire}`, () =>
        Effect.gen(function*() {
          const { ends } = yield* join(wire, patient)
          const { finish, routes, started } = yield* slow()
          yield* serveRoutes(ends[closing], routes)
          const others = counting("")
          yield* serveRoutes(ends[other], others.routes)
          const call = yield* start(text(roles(ends, closing).api.post("/slow")))
          yield* started
          const closed = yield* start(ends[closing].close({ drain: true }))
          yield* until(ends[closing], "draining")
          const error = yield* Effect.flip((yield* once(ends[closing])).post("/count/0"))
          assert.strictEqual(outcomeOf(error), "not-sent")
          // Not repeated either: it would be for as long as the drain lasts.
          assert.strictEqual(outcomeOf(yield* Effect.flip(ApiClient.make(ends[closing]).post("/count/1"))), "not-sent")
          assert.isUndefined(closed.pollUnsafe())
          yield* finish
          assert.strictEqual(yield* Fiber.join(call), "at last")
          yield* Fiber.join(closed)
          assert.strictEqual(others.executions.size, 0)
        }))

      it.live(`a running handler of a ${closing} that drains may still call, and is answered, on wire ${wire}`, () =>
        Effect.gen(function*() {
          const { ends } = yield* join(wire, patient)
          const back = counting("called back")
          yield* serveRoutes(ends[other], back.routes)
          const caller = yield* once(ends[closing])
          const { finish, routes, started } = yield* slow(
            Effect.map(
              text(caller.post("/count/0")),
              (answer) => HttpServerResponse.text(answer)
            )
          )
          yield* serveRoutes(ends[closing], routes)
          const call = yield* start(text(roles(ends, closing).api.post("/slow")))
          yield* started
          const closed = yield* start(ends[closing].close({ drain: true }))
          yield* until(ends[closing], "draining")
          yield* finish
          assert.strictEqual(yield* Fiber.join(call), "called back")
          yield* Fiber.join(closed)
          assert.deepStrictEqual([...back.executions], [["0", 1]])
        }))

      it.live(`calls that wait for their turn when the ${closing} closes are not sent, on wire ${wire}`, () =>
        Effect.gen(function*() {
          // On wire v1 there is one call at a time anyway.
          const { ends } = yield* join(wire, wire === "v1" ? patient : { ...patient, maxConcurrentStreams: 1 })
          const { routes, started } = yield* slow()
          const others = counting("")
          yield* serveRoutes(ends[other], Layer.merge(routes, others.routes))
          const first = yield* start(Effect.flip((yield* once(ends[closing])).post("/slow")))
          yield* started
          const second = yield* start(Effect.flip((yield* once(ends[closing])).post("/count/0")))
          yield* eventually(() => assert.strictEqual(peerOf(ends[closing]).mux.active.waiting, 1))
          yield* ends[closing].close({ code: 1000 })
          assert.strictEqual(outcomeOf(yield* Fiber.join(first)), "unknown")
          assert.strictEqual(outcomeOf(yield* Fiber.join(second)), "not-sent")
          assert.strictEqual(others.executions.size, 0)
        }))
    }

    for (const closing of sides) {
      const other = closing === "server" ? "client" : "server"

      it.live(`a call in the turn in which the ${closing} closes is not sent, on wire ${wire}`, () =>
        Effect.gen(function*() {
          const { ends } = yield* join(wire)
          const { executions, routes } = counting("")
          yield* serveRoutes(ends[other], routes)
          const api = yield* once(ends[closing])
          const call = yield* start(Effect.flip(api.post("/count/0")))
          yield* ends[closing].close({ code: 1000 })
          assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "not-sent")
          assert.strictEqual(executions.size, 0)
        }))
    }

    it.live(`a client that closes answers the calls that are open, and other calls are not sent, on wire ${wire}`, () =>
      Effect.gen(function*() {
        const { api, close, ends } = yield* join(wire, patient)
        const { finish, handler, routes, started } = yield* slow()
        yield* serveRoutes(ends.server, routes)
        const call = yield* start(text(api.post("/slow")))
        yield* started
        const closing = yield* start(close("client"))
        yield* until(ends.client, "draining")
        assert.strictEqual(outcomeOf(yield* Effect.flip(api.post("/slow"))), "not-sent")
        assert.isUndefined(closing.pollUnsafe())
        yield* finish
        assert.strictEqual(yield* Fiber.join(call), "at last")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
      }))
  }
})

describe("drain at its limit", () => {
  it.live("a drain at its limit resets each stream that is open before it closes the connection", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const limits = { drainTimeout: "200 millis" } as const
      const context = yield* Layer.buildWithScope(layerHub({ limits }), scope)
      const hub = Context.get(context, Hub)
      const peer = yield* dialRaw(yield* Effect.provide(socketUrl, context))
      yield* peer.handshake()
      const connection = yield* hub.awaitConnection()
      const { handler, routes, started } = yield* slow()
      yield* serveRoutes(connection, routes)
      yield* peer.sendFrames(request(1, "/slow", { method: "POST" }))
      yield* started
      const call = yield* start(Effect.flip(ApiClient.make(connection).get("/never")))
      const { streamId } = yield* peer.expectFrame("Request")
      yield* start(Scope.close(scope, Exit.void))
      yield* peer.expectGoAway("NO_ERROR")
      yield* peer.expectReset(1, "CANCELLED")
      yield* peer.expectReset(streamId, "CANCELLED")
      yield* peer.expectClose(1001)
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      yield* eventually(() => assert.deepStrictEqual(handler, { executions: 1, interruptions: 1 }))
    }))
})

describe("outcome of a call", () => {
  for (const wire of wires) {
    it.live(`a call of a client that was refused for good is not sent, on wire ${wire}`, () =>
      Effect.gen(function*() {
        const { url } = yield* startHub()
        const { http } = yield* startClient(url, { wire, metadata: { name: "nobody" } })
        const error = yield* Effect.flip(http.get("/"))
        assert.strictEqual(outcomeOf(error), "not-sent")
        const cause = error.reason._tag === "TransportError" ? error.reason.cause : undefined
        assert.strictEqual(isSwaggerSocketError(cause) && cause.reason._tag, "HandshakeRefused")
      }))
  }

  it.live("a call of a client whose scope has closed is not sent", () =>
    Effect.gen(function*() {
      const { api, close } = yield* join("v2")
      yield* close("client")
      assert.strictEqual(outcomeOf(yield* Effect.flip(api.get("/"))), "not-sent")
    }))

  it.live("a call with a field that can't be expressed is not sent", () =>
    Effect.gen(function*() {
      const { api } = yield* join("v2")
      const error = yield* Effect.flip(api.get("/", { headers: { "x-name": "a\r\nb" } }))
      assert.strictEqual(outcomeOf(error), "not-sent")
    }))

  // PROTOCOL.md DRN-5
  it.live("the GOAWAY of a connection error names the last stream, though the replay buffer is full", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(layerHub({ limits: { replayBuffer: 32768, streamWindow: MiB } }))
      const peer = yield* dialRaw(yield* Effect.provide(socketUrl, context))
      yield* peer.handshake({ session: { windowMillis: 60_000, replayBuffer: MiB }, settings: { streamWindow: MiB } })
      const connection = yield* Context.get(context, Hub).awaitConnection()
      yield* serveRoutes(
        connection,
        HttpRouter.add("GET", "/large", HttpServerResponse.uint8Array(new Uint8Array(MiB)))
      )
      yield* peer.sendFrames(request(3, "/large"))
      yield* eventually(() => assert.isTrue(peerOf(connection).session!.isFull))
      yield* peer.sendHex("0800")
      const { lastStreamId } = yield* peer.expectConnectionError("UNKNOWN_FRAME")
      assert.strictEqual(lastStreamId, 3)
    }))
})

describe("close frame of a peer", () => {
  /** A client in the hands of the test, on a link of which the server's side is changed. */
  const connectTo = Effect.fnUntraced(function*(change: (link: Link) => Link) {
    const hub = Context.get(yield* Layer.build(Hub.layerNoRoute({ limits: { resumeWindow: 0 } })), Hub)
    const [near, far] = memoryLink.makePair()
    const upgrade = { headers: Headers.empty, url: "/", remoteAddress: Option.none() }
    yield* acceptorOf(hub).accept(Effect.succeed(change(far)), upgrade, "v2")
    near.send(JSON.stringify({ type: "hello", version: 2 }))
    yield* near.pull
    near.send(JSON.stringify({ type: "ready" }))
    return { near, connection: yield* hub.awaitConnection() }
  })

  it.effect("a close frame is reported when it is read after a write has failed", () =>
    Effect.gen(function*() {
      const { connection, near } = yield* connectTo((link) => ({
        ...link,
        // Sockets don't all tell before a write that they have ended.
        isFull: () => false,
        // In another turn, as by a fiber that has run out of its steps.
        pull: Effect.catch(link.pull, (error) => Effect.andThen(turn, Effect.fail(error)))
      }))
      near.close(4321, "enough")
      peerOf(connection).mux.ping(new Uint8Array(0))
      const how = { _tag: "Closed", initiator: "remote", code: 4321, reason: "enough" } as const
      assert.deepStrictEqual(yield* connection.closed, how)
    }))

  it.effect("a failed write is reported when no close frame follows it", () =>
    Effect.gen(function*() {
      const broken = new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("broken") }) })
      let isBroken = false
      const { connection } = yield* connectTo((link) => ({
        ...link,
        send: (message) => isBroken ? broken : link.send(message)
      }))
      isBroken = true
      peerOf(connection).mux.ping(new Uint8Array(0))
      const ended = yield* start(connection.closed)
      yield* TestClock.adjust("1 second")
      const end = yield* Fiber.join(ended)
      assert.deepInclude(end._tag === "Failed" && end.error.reason, { _tag: "LinkError", phase: "write" })
    }))

  it.effect("a close frame during the handshake is reported, although a write has failed before", () =>
    Effect.gen(function*() {
      const [near, far] = memoryLink.makePair()
      const clock = yield* Clock.Clock
      const { handshake } = forHandshake(near, clock, 65_536, yield* Effect.scope)
      far.close(4106, "too much to do")
      const error = yield* Effect.flip(handshake.send("hello"))
      assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "OVERLOADED", description: "too much to do" })
    }))
})

describe("server that closes with one thing left", () => {
  const scoped = Effect.fnUntraced(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layerHub({ limits: patient }), scope)
    const url = yield* Effect.provide(socketUrl, context)
    return { hub: Context.get(context, Hub), url, close: Scope.close(scope, Exit.void) }
  })

  it.live("a server that closes does not wait for drainTimeout when the last device is silently dead", () =>
    Effect.gen(function*() {
      const { close, hub, url } = yield* scoped()
      const peer = yield* dialRaw(url)
      yield* peer.handshake({ session: { windowMillis: 60_000, replayBuffer: MiB } })
      const connection = yield* hub.awaitConnection()
      peer.tcp.pause()
      yield* close
      assert.strictEqual((yield* connection.closed)._tag, "Closed")
    }))

  it.live("a server that closes does not wait for drainTimeout when nobody reads the last response, whose handler is told", () =>
    Effect.gen(function*() {
      const { close, hub, url } = yield* scoped()
      const peer = yield* dialRaw(url)
      yield* peer.handshake()
      const connection = yield* hub.awaitConnection()
      yield* serveRoutes(
        connection,
        HttpRouter.add("GET", "/large", HttpServerResponse.uint8Array(new Uint8Array(MiB)))
      )
      yield* peer.sendFrames(request(1, "/large"))
      yield* peer.expectFrame("Response", 1)
      yield* close
      assert.strictEqual((yield* peer.expectFrame("Reset", 1)).code, ErrorCode.CANCELLED)
      yield* peer.expectClose(1001)
    }))

  it.live("a server that closes waits for a handler at work, though its peer says nothing", () =>
    Effect.gen(function*() {
      const { close, hub, url } = yield* scoped()
      const peer = yield* dialRaw(url)
      yield* peer.handshake()
      const connection = yield* hub.awaitConnection()
      const asked = yield* Deferred.make<void>()
      const { finish, routes, started } = yield* slow(
        Effect.as(Deferred.succeed(asked, undefined), HttpServerResponse.text("at last"))
      )
      yield* serveRoutes(connection, routes)
      yield* peer.sendFrames(request(1, "/slow", { method: "POST" }))
      yield* started
      const closing = yield* start(close)
      yield* peer.expectGoAway("NO_ERROR")
      // More than twice the time after which the drain looks for a reader.
      yield* Effect.sleep("2500 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* finish
      assert.strictEqual((yield* peer.expectResponse(1)).status, 200)
      yield* Fiber.join(closing)
    }))
})

describe("API of a client whose scope closes with one thing left", () => {
  class Peers extends SwaggerSocketServer.Service<Peers>()("test/leaving/Peers") {}

  /** What is under way gets as far as it can without time. */
  const atOnce = TestClock.adjust(0)

  /** Ends within some seconds, which is little beside `drainTimeout`. */
  const endsSoon = Effect.fnUntraced(function*(closing: Fiber.Fiber<void>) {
    for (let passed = 0; passed < 20 && closing.pollUnsafe() === undefined; passed++) {
      yield* TestClock.adjust("1 second")
    }
    assert.isDefined(closing.pollUnsafe())
  })

  /** A client with an API in a scope of its own, and the connection on the server's end. */
  const serveOnClient = Effect.fnUntraced(function*<A, E, R>(
    wire: "v1" | "v2",
    app: Layer.Layer<A, E, R | HttpServer.HttpServer>,
    closeTimeout: Duration.Input = "5 seconds"
  ) {
    const limits = { drainTimeout: "1 hour", closeTimeout } as const
    const context = yield* Layer.build(SwaggerSocketTest.layer(Peers, { wire, limits, serverLimits: limits }))
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(app, scope).pipe(
      Effect.provide(Layer.provide(ApiServer.layer, Layer.succeedContext(context)))
    )
    const api = ApiClient.make(yield* Context.get(context, Peers).awaitConnection())
    const { mux } = peerOf(yield* Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection)
    return {
      api,
      close: Scope.close(scope, Exit.void),
      /** The handler waits for its reader. */
      isFull: eventually(() => assert.isAtLeast(mux.unsentBytes ?? 0, defaults.sendBuffer / 2))
    }
  })

  const routes = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
    HttpRouter.serve(layer, { disableLogger: true, disableListenLog: true })

  const endless = Stream.forever(Stream.make(new Uint8Array(10_000)))

  for (const wire of wires) {
    it.effect(`an API whose scope closes waits for an unread response for closeTimeout at most, on wire ${wire}`, () =>
      Effect.gen(function*() {
        let interrupted = 0
        const body = Stream.onExit(endless, () => Effect.sync(() => interrupted++))
        const { api, close, isFull } = yield* serveOnClient(
          wire,
          routes(HttpRouter.add("GET", "/endless", Effect.sync(() => HttpServerResponse.stream(body))))
        )
        const response = yield* api.get("/endless")
        assert.strictEqual(response.status, 200)
        yield* isFull
        const closing = yield* start(close)
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(closing.pollUnsafe())
        yield* endsSoon(closing)
        assert.strictEqual(interrupted, 1)
        // Told to its reader, who must not take a part for the whole.
        assert.strictEqual(outcomeOf(yield* Effect.flip(Stream.runDrain(response.stream))), "unknown")
      }))

    it.effect(`an API whose scope closes waits for a response that is read slowly, on wire ${wire}`, () =>
      Effect.gen(function*() {
        const { api, close } = yield* serveOnClient(
          wire,
          routes(
            HttpRouter.add("GET", "/long", Effect.sync(() => HttpServerResponse.stream(Stream.take(endless, 600))))
          )
        )
        const { stream } = yield* api.get("/long")
        let bytes = 0
        let isSlow = true
        const reader = yield* start(Stream.runForEach(stream, (chunk) => {
          bytes += chunk.length
          return Effect.sleep(isSlow ? "200 millis" : 0)
        }))
        yield* atOnce
        const closing = yield* start(close)
        for (let passed = 0; passed < 30; passed++) yield* TestClock.adjust("1 second")
        assert.isUndefined(closing.pollUnsafe())
        isSlow = false
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(reader)
        assert.strictEqual(bytes, 6_000_000)
        yield* Fiber.join(closing)
      }))
  }

  it.effect("an API whose scope closes with a closeTimeout of 0 gives the reader of a response a second", () =>
    Effect.gen(function*() {
      const { api, close } = yield* serveOnClient(
        "v2",
        routes(HttpRouter.add("GET", "/long", Effect.sync(() => HttpServerResponse.stream(Stream.take(endless, 600))))),
        0
      )
      const { stream } = yield* api.get("/long")
      const reader = yield* start(Stream.runForEach(stream, () => Effect.sleep("50 millis")))
      yield* atOnce
      const closing = yield* start(close)
      for (let passed = 0; passed < 10; passed++) yield* TestClock.adjust("1 second")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reader)
      yield* Fiber.join(closing)
    }))

  it.effect("an API whose scope closes waits no longer than closeTimeout for a streaming endpoint that nobody reads", () =>
    Effect.gen(function*() {
      const watch = () => Effect.succeed(Stream.forever(Stream.fromIterable(readings(1, 2, 3))))
      const app = Layer.provide(serveWeather({ watch }), HttpServer.layerServices)
      const { api, close, isFull } = yield* serveOnClient("v2", app)
      const response = yield* api.get("/watch")
      assert.strictEqual(response.status, 200)
      yield* isFull
      yield* endsSoon(yield* start(close))
      assert.strictEqual(outcomeOf(yield* Effect.flip(Stream.runDrain(response.stream))), "unknown")
    }))

  it.effect("an API whose scope closes waits for a handler at work beside a response that nobody reads", () =>
    Effect.gen(function*() {
      const { finish, routes: working, started } = yield* slow()
      const reading = HttpRouter.add("GET", "/endless", Effect.sync(() => HttpServerResponse.stream(endless)))
      const { api, close, isFull } = yield* serveOnClient("v2", routes(Layer.merge(working, reading)))
      const response = yield* api.get("/endless")
      yield* isFull
      const call = yield* start(text(api.post("/slow")))
      yield* started
      const closing = yield* start(close)
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(closing.pollUnsafe())
      yield* finish
      assert.strictEqual(yield* Fiber.join(call), "at last")
      yield* endsSoon(closing)
      assert.strictEqual(response.status, 200)
    }))
})

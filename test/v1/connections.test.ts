/**
 * Connections on wire v1 over real sockets: which wire is used, handshakes, closing, heartbeats and calls.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { reasonOf } from "../support/clientUnderAttack.ts"
import { until, within } from "../support/waiting.ts"
import { connectionOf, goClient, goServer, startClient, startHub } from "./peers.ts"

const Hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))

const textOf = Effect.flatMap(({ text }: { readonly text: Effect.Effect<string, unknown> }) => text)

describe("wires of a server and of clients", () => {
  it.live("v1 and v2 clients share one server: its registry, events, and calls in both directions", () =>
    Effect.gen(function*() {
      const { expectEvent, hub, url } = yield* startHub({ api: Hello })
      const whoami = (name: string) => HttpRouter.add("GET", "/whoami", HttpServerResponse.text(name))
      const old = yield* startClient(url, { wire: "v1", metadata: { name: "old" }, api: whoami("old") })
      const recent = yield* startClient(url, { metadata: { name: "recent" }, api: whoami("recent") })
      assert.strictEqual((yield* connectionOf(old)).wire, "v1")
      assert.strictEqual((yield* connectionOf(recent)).wire, "v2")
      for (const [name, wire] of [["old", "v1"], ["recent", "v2"]] as const) {
        const connection = yield* hub.awaitConnection(({ metadata }) => metadata?.name === name)
        assert.strictEqual(connection.wire, wire)
        assert.strictEqual(connection.principal, `principal of ${name}`)
        assert.strictEqual(yield* textOf(ApiClient.make(connection).get("/whoami")), name)
      }
      const received = [yield* expectEvent("ConnectionReceived"), yield* expectEvent("ConnectionReceived")]
      assert.sameDeepMembers(received.map(({ metadata, wire }) => [metadata?.name, wire]), [["old", "v1"], [
        "recent",
        "v2"
      ]])
      for (const { http } of [old, recent]) assert.strictEqual(yield* textOf(http.get("/hello")), "hello")
    }))

  it.live("a client falls back to v1 where the server knows no subprotocol, and makes one connection", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      const ours = yield* startClient(server.url, { metadata: { name: "edge" } })
      const { metadata, peer } = yield* server.accept
      assert.deepStrictEqual(metadata, { name: "edge" })
      const connection = yield* connectionOf(ours)
      assert.strictEqual(connection.wire, "v1")
      assert.strictEqual(connection.id, "go-2")
      // The offer that was not taken up, and the one that was.
      assert.strictEqual(server.upgrades(), 2)
      const call = yield* Effect.forkChild(textOf(ours.http.get("/x")))
      peer.answer(yield* peer.next, "from Go")
      assert.strictEqual(yield* Fiber.join(call), "from Go")
    }))

  it.live("a client falls back to v1 where the server answers the offer with 400", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ wires: ["v1"], api: Hello })
      const { client, http } = yield* startClient(url)
      assert.strictEqual(yield* textOf(http.get("/hello")), "hello")
      assert.strictEqual((yield* connectionOf({ client })).wire, "v1")
    }))

  it.live("a server on the platform's own HTTP server serves v1 without pings of its own", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub({
        plain: true,
        api: Hello,
        heartbeat: { interval: "20 millis", timeout: "10 millis" }
      })
      const { peer } = yield* goClient(url)
      peer.send("GET /hello HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: é\r\n\r\n")
      assert.match(yield* peer.next, /^HTTP\/1.1 200 [^]*\r\n\r\nhello$/)
      const call = yield* Effect.forkChild(textOf(ApiClient.make(yield* hub.awaitConnection()).get("/x")))
      peer.answer(yield* peer.next, "hi")
      assert.strictEqual(yield* Fiber.join(call), "hi")
    }))

  it.live("clients of a server that moves to v2 use v2 for their next connection", () =>
    Effect.gen(function*() {
      const first = yield* goServer()
      let { url } = first
      const ours = yield* startClient(Effect.sync(() => url))
      const { peer } = yield* first.accept
      assert.strictEqual((yield* connectionOf(ours)).wire, "v1")
      const next = yield* startHub()
      url = next.url
      peer.ws.close(1001)
      const moved = yield* next.hub.awaitConnection()
      assert.strictEqual(moved.wire, "v2")
    }))
})

describe("handshake", () => {
  it.live("a Go client whose metadata do not fit is given an id, and closed once it has acknowledged", () =>
    Effect.gen(function*() {
      const { expectEvent, url } = yield* startHub()
      const { id, peer } = yield* goClient(url, { name: 5 })
      assert.isNotEmpty(id)
      assert.match(yield* peer.next, /^close 1001 4103 /)
      const { error } = yield* expectEvent("ConnectionAttemptFailed")
      assert.deepInclude(error.reason, { _tag: "HandshakeRefused", code: "METADATA_INVALID", path: ["name"] })
    }))

  it.live("a Go client whose metadata are beyond the limit is refused after the handshake", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({ limits: { maxHandshakeSize: 100 } })
      const { peer } = yield* goClient(url, { name: "x".repeat(200) })
      assert.match(yield* peer.next, /^close 1001 4100 more than 100 bytes/)
    }))

  it.live("a Go client that is refused for the moment loses its TCP connection, so that it comes back", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub()
      const { peer } = yield* goClient(url, { name: "later" })
      assert.strictEqual(yield* peer.next, "close 1006 ")
    }))

  it.live("a client that authentication refuses learns why, and does not dial again", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub()
      const { client, expectEvent, http } = yield* startClient(url, { wire: "v1", metadata: { name: "nobody" } })
      // Sent before the client knows, or not: nobody has read it.
      const call = yield* Effect.forkChild(Effect.exit(http.post("/")), { startImmediately: true })
      const { error } = yield* expectEvent("ConnectionFailure")
      assert.deepInclude(error.reason, {
        _tag: "HandshakeRefused",
        initiator: "remote",
        code: "FORBIDDEN",
        retry: false
      })
      const statuses = yield* Stream.runCollect(Stream.takeUntil(client.changes, ({ _tag }) => _tag === "Stopped"))
      assert.strictEqual(statuses.at(-1)?._tag, "Stopped")
      assert.deepInclude(reasonOf(yield* Fiber.join(call)), { _tag: "HandshakeRefused", code: "FORBIDDEN" })
    }))
})

describe("closed links", () => {
  it.live("a close frame of a Go client is reported as a close, a lost link as a failure, both with the metadata", () =>
    Effect.gen(function*() {
      const { expectEvent, hub, url } = yield* startHub()
      const polite = yield* goClient(url, { name: "polite" })
      // Go says goodbye without a code.
      polite.peer.ws.close()
      assert.deepInclude(yield* expectEvent("ConnectionClosed"), {
        metadata: { name: "polite" },
        initiator: "remote",
        code: 1005
      })
      const rude = yield* goClient(url, { name: "rude" })
      yield* hub.awaitConnection(({ id }) => id === rude.id)
      rude.peer.ws.terminate()
      const failed = yield* expectEvent("ConnectionFailure")
      assert.deepInclude(failed, { metadata: { name: "rude" }, connectionId: rude.id })
      assert.strictEqual(failed.error.reason._tag, "LinkError")
    }))

  it.live("a server that goes away drops the links of Go clients, so that they dial again; closing a connection sends a close frame", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub()
      const first = yield* goClient(url)
      const closed = yield* hub.awaitConnection(({ id }) => id === first.id)
      yield* closed.close({ code: 4999, reason: "stay away" })
      assert.strictEqual(yield* first.peer.next, "close 1001 4999 stay away")

      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(startHub(), scope)
      const { id, peer } = yield* goClient(leaving.url)
      yield* leaving.hub.awaitConnection((connection) => connection.id === id)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* peer.next, "close 1006 ")
    }))

  it.live("a peer that reads nothing, such as an idle Go caller, does not delay a close", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub({ limits: { closeTimeout: "1 hour" } })
      const { peer } = yield* goClient(url)
      const connection = yield* hub.awaitConnection()
      peer.ws.pause()
      yield* within("the close", connection.close())
      const server = yield* goServer()
      const ours = yield* startClient(server.url, { wire: "v1", limits: { closeTimeout: "1 hour" } })
      const { peer: idle } = yield* server.accept
      idle.ws.pause()
      yield* within("the client's close", (yield* connectionOf(ours)).close())
    }))

  it.live("a message that is too large ends the connection without close code 1009, which would kill Go's process", () =>
    Effect.gen(function*() {
      const { expectEvent, url } = yield* startHub({ limits: { v1MaxMessageSize: 10_000 } })
      const { peer } = yield* goClient(url, { name: "large" })
      peer.send("x".repeat(10_001))
      assert.strictEqual(yield* peer.next, "close 1006 ")
      const { error, metadata } = yield* expectEvent("ConnectionFailure")
      assert.deepStrictEqual(metadata, { name: "large" })
      assert.include(error.message, "Max payload size exceeded")
    }))

  it.live("a server that is drained answers the requests that have begun, and later ones with 503", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { hub, url } = yield* startHub({
        api: HttpRouter.add("GET", "/slow", Effect.as(Deferred.await(gate), HttpServerResponse.text("slow")))
      })
      const { id, peer } = yield* goClient(url)
      const connection = yield* hub.awaitConnection((connection) => connection.id === id)
      peer.send("GET /slow HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: one\r\n\r\n")
      yield* until("the request is there", () => Effect.runSync(connection.active).remote === 1)
      const closing = yield* Effect.forkChild(connection.close({ drain: true }))
      yield* until("it is drained", () => Effect.runSync(connection.status) === "draining")
      peer.send("GET /slow HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: two\r\n\r\n")
      yield* until("the second request is there", () => Effect.runSync(connection.active).remote === 2)
      yield* Deferred.succeed(gate, undefined)
      assert.match(yield* peer.next, /^HTTP\/1.1 200 [^]*: one\r\n\r\nslow$/)
      assert.match(yield* peer.next, /^HTTP\/1.1 503 [^]*: two\r\n\r\n$/)
      assert.strictEqual(yield* peer.next, "close 1001 1000 ")
      yield* Fiber.join(closing)
    }))

  it.live("a client dials again after any end of its connection, for a new connection", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      const { client, expectEvent } = yield* startClient(server.url, { wire: "v1" })
      const ids: Array<string> = []
      for (const end of ["close", "terminate"] as const) {
        const { peer } = yield* server.accept
        ids.push((yield* expectEvent("ConnectionReceived")).connectionId)
        peer.ws[end]()
        yield* expectEvent(end === "close" ? "ConnectionClosed" : "ConnectionFailure")
      }
      yield* server.accept
      ids.push((yield* expectEvent("ConnectionReceived")).connectionId)
      assert.strictEqual(new Set(ids).size, 3)
      assert.strictEqual((yield* client.status)._tag, "Connected")
    }))

  it.live("resources that an attempt of a client acquires are released with its connection", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      let held = 0
      const url = Effect.acquireRelease(
        Effect.sync(() => {
          held++
          return server.url
        }),
        () => Effect.sync(() => held--)
      )
      const { expectEvent } = yield* startClient(url)
      for (let count = 0; count < 3; count++) {
        const { peer } = yield* server.accept
        yield* expectEvent("ConnectionReceived")
        assert.strictEqual(held, 1)
        peer.ws.terminate()
        yield* expectEvent("ConnectionFailure")
      }
    }))

  it.live("a client that goes away sends a close frame, because Go does not notice otherwise", () =>
    Effect.gen(function*() {
      const server = yield* goServer()
      const scope = yield* Scope.make()
      yield* Scope.provide(startClient(server.url, { wire: "v1" }), scope)
      const { peer } = yield* server.accept
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* peer.next, "close 1001 the client goes away")
    }))
})

const quick = { interval: "60 millis", timeout: "40 millis" } as const

describe("heartbeat", () => {
  it.live("pings with application data go both ways, measure the round trip, and run the hooks", () =>
    Effect.gen(function*() {
      const seen = { pings: new Set<string>(), pongs: new Set<string>() }
      const text = new TextDecoder()
      const { hub, url } = yield* startHub({
        heartbeat: {
          ...quick,
          data: Effect.succeed(new TextEncoder().encode("srv")),
          onPing: ({ data }) => Effect.sync(() => seen.pings.add(text.decode(data))),
          onPong: ({ data }) => Effect.sync(() => seen.pongs.add(text.decode(data)))
        }
      })
      const { peer } = yield* goClient(url)
      assert.strictEqual(yield* peer.next, "ping srv")
      peer.ws.ping("cli")
      yield* until("both hooks were run", () => seen.pings.has("cli") && seen.pongs.has("srv"))
      const [connection] = yield* hub.connections
      assert.isAbove(Duration.toMillis(yield* connection!.roundTrip), 0)
    }))

  it.live("a peer that has answered a ping and then goes silent is dropped", () =>
    Effect.gen(function*() {
      const { expectEvent, url } = yield* startHub({ heartbeat: quick })
      const { peer } = yield* goClient(url, { name: "g" })
      assert.match(yield* peer.next, /^ping/)
      assert.match(yield* peer.next, /^ping/)
      // As if its process had stopped.
      peer.ws.pause()
      const { error, metadata } = yield* expectEvent("ConnectionFailure")
      assert.strictEqual(error.reason._tag, "HeartbeatTimeout")
      assert.deepStrictEqual(metadata, { name: "g" })
    }))

  it.live("an idle Go caller is not closed for missing pongs", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub({ heartbeat: quick, api: Hello })
      const { peer } = yield* goClient(url, null, { autoPong: false })
      for (let pings = 0; pings < 10; pings++) assert.match(yield* peer.next, /^ping/)
      // It answers old pings with its next request.
      peer.send("GET /hello HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: a\r\n\r\n")
      for (let pongs = 0; pongs < 10; pongs++) peer.ws.pong()
      let event = ""
      while (!event.startsWith("HTTP/1.1 200 ")) event = yield* peer.next
      for (let pings = 0; pings < 10; pings++) assert.match(yield* peer.next, /^ping/)
      assert.lengthOf(yield* hub.connections, 1)
    }))
})

describe("calls", () => {
  it.live("calls wait for each other in order, and leave the queue when their callers are interrupted", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub()
      const { peer } = yield* goClient(url)
      const client = ApiClient.make(yield* hub.awaitConnection())
      const get = (path: string) => Effect.forkChild(textOf(client.get(path)), { startImmediately: true })
      const first = yield* get("/1")
      const second = yield* Effect.forkChild(
        Effect.exit(Effect.timeout(client.get("/2"), "20 millis")),
        { startImmediately: true }
      )
      const third = yield* get("/3")
      const request = yield* peer.next
      assert.match(request, /^GET \/1 HTTP\/1.1\r\n/)
      assert.strictEqual((yield* Fiber.join(second))._tag, "Failure")
      assert.deepStrictEqual(peer.untaken, [])
      peer.answer(request, "one")
      const next = yield* peer.next
      assert.match(next, /^GET \/3 /)
      peer.answer(next, "three")
      assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(third)], ["one", "three"])
    }))

  it.live("a call that was interrupted delays the next one until it is answered, or until the stall timeout ends the connection", () =>
    Effect.gen(function*() {
      const { expectEvent, hub, url } = yield* startHub({ limits: { v1StallTimeout: "100 millis" } })
      const { peer } = yield* goClient(url)
      const client = ApiClient.make(yield* hub.awaitConnection())
      for (const answered of [true, false]) {
        const given = yield* Effect.forkChild(client.get("/given"), { startImmediately: true })
        const request = yield* peer.next
        yield* Fiber.interrupt(given)
        const next = yield* Effect.forkChild(Effect.exit(textOf(client.get("/next"))), { startImmediately: true })
        if (answered) {
          peer.answer(request, "late")
          peer.answer(yield* peer.next, "in time")
          assert.deepStrictEqual(yield* Fiber.join(next), Exit.succeed("in time"))
        } else {
          const reason = reasonOf(yield* within("the next call", Fiber.join(next)))
          assert.deepInclude(reason, { _tag: "ConnectionLost", outcome: "not-sent" })
          yield* expectEvent("ConnectionFailure")
        }
      }
    }))

  it.live("calls with a body that Go would cut fail before anything is sent, and other calls go on", () =>
    Effect.gen(function*() {
      const { hub, url } = yield* startHub()
      const { peer } = yield* goClient(url)
      const client = ApiClient.make(yield* hub.awaitConnection())
      const post = (size: number) => client.post("/", { body: HttpBody.text("x".repeat(size)) })
      const reason = reasonOf(yield* Effect.exit(post(4000)))
      assert.deepInclude(reason, {
        _tag: "StreamReset",
        initiator: "local",
        code: "FRAME_SIZE_ERROR",
        outcome: "not-sent"
      })
      assert.include(reason.message, "3960")
      const small = yield* Effect.forkChild(textOf(post(3500)), { startImmediately: true })
      const request = yield* peer.next
      assert.match(request, /^POST [^]*\r\nContent-Length: 3500\r\n[^]*x{3500}$/)
      peer.answer(request, "ok")
      assert.strictEqual(yield* Fiber.join(small), "ok")
    }))

  it.live("requests of a Go caller that take too long are answered 504 before it gives up, and the handler is interrupted", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const { url } = yield* startHub({
        limits: { v1ResponseTimeout: "50 millis" },
        api: Layer.merge(
          HttpRouter.add(
            "GET",
            "/never",
            Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          ),
          Hello
        )
      })
      const { peer } = yield* goClient(url)
      for (const [path, status] of [["/never", 504], ["/hello", 200]] as const) {
        peer.send(`GET ${path} HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: id\r\n\r\n`)
        assert.match(yield* peer.next, new RegExp(`^HTTP/1.1 ${status} `))
      }
      yield* Deferred.await(interrupted)
    }))

  it.live("requests that a peer sends at once are answered whole and in order", () =>
    Effect.gen(function*() {
      const { url } = yield* startHub({
        api: HttpRouter.add(
          "GET",
          "/after/:millis",
          Effect.gen(function*() {
            const { millis } = yield* HttpRouter.params
            yield* Effect.sleep(Number(millis))
            return HttpServerResponse.stream(Stream.encodeText(Stream.make("after ", String(millis))))
          })
        )
      })
      const { peer } = yield* goClient(url)
      const times = [40, 0, 20, 10, 30]
      for (const millis of times) {
        peer.send(`GET /after/${millis} HTTP/1.1\r\nHost: h\r\nX-Correlation-Id: id-${millis}\r\n\r\n`)
      }
      for (const millis of times) {
        let answer = yield* peer.next
        while (!answer.endsWith("0\r\n\r\n") && !/Content-Length/.test(answer)) answer += yield* peer.next
        assert.include(answer, `X-Correlation-Id: id-${millis}\r\n`)
        assert.include(answer, String(millis))
      }
    }))
})

it.live("a handler that calls back reads a response in several messages, although it is the only one that may run", () =>
  Effect.gen(function*() {
    const limits = { maxConcurrentStreams: 1, drainTimeout: "100 millis" } as const
    const { client, server } = yield* SwaggerSocketTest.makePair({ wire: "v1", limits, serverLimits: limits })
    const serve = <A, E, R>(connection: Connection.Connection, routes: Layer.Layer<A, E, R>) =>
      Layer.build(
        HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provide(ApiServer.layerConnection(connection))
        )
      )
    // Each part leaves in a message of its own.
    const parts = Stream.tap(Stream.make("a", "b", "c"), () => Effect.sleep("1 millis"))
    yield* serve(
      client,
      HttpRouter.add("GET", "/parts", Effect.sync(() => HttpServerResponse.stream(Stream.encodeText(parts))))
    )
    yield* serve(
      server,
      HttpRouter.add(
        "GET",
        "/back",
        Effect.map(textOf(ApiClient.make(server).get("/parts")), (text) => HttpServerResponse.text(text))
      )
    )
    assert.strictEqual(yield* within("the answer", textOf(ApiClient.make(client).get("/back"))), "abc")
  }))

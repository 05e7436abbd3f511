/**
 * Upgrades of single requests, on Effect's own API: who gets which socket, and how it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Crypto from "node:crypto"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { MiB } from "../support/bodies.ts"
import { join, serveRoutes } from "../support/connections.ts"
import { extent } from "../support/extent.ts"
import { turn, until, within } from "../support/waiting.ts"

const { makePair } = SwaggerSocketTest
const utf8 = new TextDecoder()

/** A route that upgrades its request; the handler ends with the effect. */
const upgraded = <E, R>(
  path: `/${string}`,
  use: (socket: Socket.Socket) => Effect.Effect<unknown, E, R>,
  headers: Record<string, string> = {}
) =>
  HttpRouter.add(
    "*",
    path,
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      yield* use(yield* request.upgradeWith({ headers }))
      return HttpServerResponse.text("nobody gets this")
    })
  )

/** Sends back what arrives until the peer has ended, and ends then. */
const echo = (socket: Socket.Socket) =>
  Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
  }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))

/** Asks for an upgrade, and opens the socket. */
const ask = Effect.fnUntraced(function*(connection: Connection.Connection, path: string, protocol = "echo") {
  const response = yield* ApiClient.make(connection).execute(
    HttpClientRequest.get(path).pipe(HttpClientRequest.upgrade(protocol))
  )
  const socket = yield* response.upgrade
  const writing = yield* Scope.make()
  const writer = yield* Scope.provide(socket.writer, writing)
  const { pull } = yield* socket.reader
  return { response, writer, pull, end: Scope.close(writing, Exit.void), socket }
})

/** All text up to the end, and how it ends. */
const readAll = (pull: Socket.Reader["pull"]) =>
  Effect.gen(function*() {
    let text = ""
    const error = yield* Effect.flip(Effect.forever(Effect.map(pull, (chunks) => {
      for (const chunk of chunks) text += typeof chunk === "string" ? chunk : utf8.decode(chunk)
    })))
    const { reason } = error
    return [text, reason._tag === "SocketCloseError" ? reason.code : reason._tag] as const
  })

for (const [name, pair] of [["in memory", makePair], ["over a WebSocket", join]] as const) {
  for (const serving of ["server", "client"] as const) {
    const calling = serving === "server" ? "client" : "server"
    describe(`raw bytes, ${name}, the ${serving} serves`, () => {
      it.live("bytes flow both ways, and each direction ends by itself", () =>
        Effect.gen(function*() {
          const ends = yield* pair()
          yield* serveRoutes(ends[serving], upgraded("/echo", echo, { "x-chosen": "yes" }))
          const { end, pull, response, writer } = yield* ask(ends[calling], "/echo")
          assert.strictEqual(response.status, 101)
          assert.strictEqual(response.headers.upgrade, "echo")
          assert.strictEqual(response.headers["x-chosen"], "yes")
          assert.strictEqual(yield* response.text, "")
          yield* writer.write("hello ")
          yield* writer.writeAll(["wor", new TextEncoder().encode("ld")])
          yield* end
          assert.deepStrictEqual(yield* within("the echo", readAll(pull)), ["hello world", 1000])
        }).pipe(Effect.scoped))

      it.live("another answer is an ordinary one", () =>
        Effect.gen(function*() {
          const ends = yield* pair()
          yield* serveRoutes(
            ends[serving],
            HttpRouter.add(
              "GET",
              "/plain",
              Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
                HttpServerResponse.text(`no ${headers.upgrade}, ${headers.connection}`, { status: 426 }))
            )
          )
          const response = yield* ApiClient.make(ends[calling]).execute(
            HttpClientRequest.get("/plain").pipe(HttpClientRequest.upgrade("echo"))
          )
          assert.strictEqual(response.status, 426)
          const error: HttpClientError.HttpClientError = yield* Effect.flip(response.upgrade)
          assert.strictEqual(error.reason._tag, "StatusCodeError")
          assert.strictEqual(yield* response.text, "no echo, Upgrade")
          // The stream has ended on both ends.
          assert.strictEqual((yield* ApiClient.make(ends[calling]).get("/none")).status, 404)
        }).pipe(Effect.scoped))
    })
  }
}

describe("fetch", () => {
  it.live("a fetch asks for no upgrade, as its Response can't have one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* makePair()
      yield* serveRoutes(
        server,
        HttpRouter.add(
          "POST",
          "/up",
          (request) => Effect.succeed(HttpServerResponse.jsonUnsafe({ ...request.headers }))
        )
      )
      const fetch = ApiClient.toFetch(client)
      const response = yield* Effect.promise(() =>
        fetch("/up", { method: "POST", headers: { upgrade: "echo", "x-a": "b" }, body: "a body" })
      )
      const seen = yield* Effect.promise(() => response.json())
      assert.notProperty(seen, "upgrade")
      assert.propertyVal(seen, "x-a", "b")
    }).pipe(Effect.scoped))
})

/** Long enough for what is written to leave. */
const turns = Effect.forEach([1, 2, 3], () => turn, { discard: true })

/** A connection in memory whose server upgrades. */
const begin = Effect.fnUntraced(function*<E>(use: (socket: Socket.Socket) => Effect.Effect<unknown, E, Scope.Scope>) {
  const pair = yield* makePair()
  yield* serveRoutes(pair.server, upgraded("/up", use))
  return pair
})

describe("sockets of upgrades", () => {
  it.live("a handler that fails resets the stream, so that nobody takes a part for the whole", () =>
    Effect.gen(function*() {
      const { client } = yield* begin((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          yield* writer.write("a part")
          yield* pull
          return yield* Effect.die("a bug")
        })
      )
      const { pull, writer } = yield* ask(client, "/up")
      assert.deepStrictEqual((yield* pull).map((chunk) => utf8.decode(chunk as Uint8Array)), ["a part"])
      yield* writer.write("go on")
      assert.deepStrictEqual(yield* within("the end", readAll(pull)), ["", "SocketReadError"])
    }).pipe(Effect.scoped))

  it.live("an end that fails resets the stream, though its writer is released before its reader, and others take their time", () =>
    Effect.gen(function*() {
      const { client } = yield* begin((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          yield* Effect.addFinalizer(() => turns)
          const writer = yield* socket.writer
          yield* writer.write("a part")
          yield* pull
          return yield* Effect.die("a bug")
        })
      )
      const { pull, writer } = yield* ask(client, "/up")
      yield* writer.write("go on")
      assert.deepStrictEqual(yield* within("the end", readAll(pull)), ["a part", "SocketReadError"])
    }).pipe(Effect.scoped))

  it.live("a writer that fails in a scope of its own resets the stream, though the reader goes on", () =>
    Effect.gen(function*() {
      const { client } = yield* begin((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          const writing = Effect.flatMap(socket.writer, (writer) =>
            Effect.andThen(writer.write("a part"), Effect.andThen(turns, Effect.fail("no more"))))
          yield* Effect.ignore(Effect.scoped(writing))
          yield* readAll(pull)
        })
      )
      const { pull } = yield* ask(client, "/up")
      assert.deepStrictEqual(yield* within("the end", readAll(pull)), ["a part", "SocketReadError"])
    }).pipe(Effect.scoped))

  it.live("a writer that is interrupted ends its direction with its reader, in good order or not", () =>
    Effect.gen(function*() {
      let calls = 0
      const { client } = yield* begin((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          const writing = Effect.scoped(
            Effect.flatMap(socket.writer, (writer) => Effect.andThen(writer.write("a part"), Effect.never))
          )
          const fiber = yield* Effect.forkChild(writing)
          yield* pull
          yield* turns
          yield* Fiber.interrupt(fiber)
          yield* turns
          if (calls++ > 0) return yield* Effect.die("a bug")
        })
      )
      for (const how of [1000, "SocketReadError"] as const) {
        const { pull, writer } = yield* ask(client, "/up")
        yield* writer.write("go on")
        assert.deepStrictEqual(yield* within("the end", readAll(pull)), ["a part", how])
      }
    }).pipe(Effect.scoped))

  it.live("a writer that waits for room goes on when another fiber ends its direction: what it has written is sent", () =>
    Effect.gen(function*() {
      const { client } = yield* begin((socket) => Effect.andThen(socket.reader, Effect.never))
      const { writer } = yield* ask(client, "/up")
      const writing = yield* Effect.forkChild(writer.write(new Uint8Array(MiB)))
      yield* turns
      assert.isUndefined(writing.pollUnsafe())
      yield* writer.write(new Socket.CloseEvent(1000))
      yield* within("the writer", Fiber.join(writing))
      // The handler never ends: a drain would wait for it.
      yield* client.close()
    }).pipe(Effect.scoped))

  it.live("a request is upgraded once: another reader gets an error, and the first one goes on", () =>
    Effect.gen(function*() {
      const errors: Array<string> = []
      const { client } = yield* begin((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          errors.push((yield* Effect.flip(socket.reader)).reason._tag)
          yield* writer.writeAll(yield* pull)
        })
      )
      const { pull, writer } = yield* ask(client, "/up")
      yield* writer.write("hello")
      assert.deepStrictEqual(yield* within("the echo", readAll(pull)), ["hello", 1000])
      assert.deepStrictEqual(errors, ["SocketOpenError"])
    }).pipe(Effect.scoped))

  it.live("a socket that is released by its client ends the handler", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<readonly [string, unknown]>()
      const { client } = yield* begin((socket) =>
        Effect.flatMap(
          socket.reader,
          ({ pull }) => Effect.flatMap(readAll(pull), (all) => Deferred.succeed(ended, all))
        )
      )
      yield* Effect.scoped(Effect.flatMap(ask(client, "/up"), ({ writer }) => writer.write("bye")))
      assert.deepStrictEqual(yield* within("the handler", Deferred.await(ended)), ["bye", 1000])
    }).pipe(Effect.scoped))

  // PROTOCOL.md UPG-4
  it.live("a client that leaves in good order does not interrupt what a handler does behind the end of its socket", () =>
    Effect.gen(function*() {
      const [released, go, done] = [
        Deferred.makeUnsafe<void>(),
        Deferred.makeUnsafe<void>(),
        Deferred.makeUnsafe<void>()
      ]
      const { client } = yield* begin((socket) =>
        Effect.scoped(Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          // More than a window: some of it waits to be sent.
          yield* writer.write(new Uint8Array(280_000))
        })).pipe(
          Effect.andThen(Deferred.succeed(released, undefined)),
          Effect.andThen(Deferred.await(go)),
          Effect.andThen(Deferred.succeed(done, undefined))
        )
      )
      yield* Effect.scoped(Effect.andThen(ask(client, "/up"), Deferred.await(released)))
      yield* until("the stream has ended", () => peerOf(client).mux.active.local === 0)
      // A call behind it tells that the server has seen the end.
      assert.strictEqual((yield* ApiClient.make(client).get("/none")).status, 404)
      yield* Deferred.succeed(go, undefined)
      yield* within("the handler", Deferred.await(done))
    }).pipe(Effect.scoped))

  it.live("a response that is not upgraded ends its stream with its scope", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const { client } = yield* begin((socket) =>
        Effect.andThen(socket.reader, Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const request = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("echo"))
      const scoped = HttpClient.withScope(ApiClient.make(client))
      yield* Effect.scoped(scoped.execute(request))
      yield* within("the interruption", Deferred.await(interrupted))
    }).pipe(Effect.scoped))

  it.live("the scope of the call ends a socket in use, too", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const { client } = yield* begin((socket) =>
        Effect.andThen(socket.reader, Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const calling = yield* Scope.make()
      const request = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("echo"))
      const response = yield* Scope.provide(HttpClient.withScope(ApiClient.make(client)).execute(request), calling)
      const { pull } = yield* Effect.flatMap(response.upgrade, (socket) => socket.reader)
      const reading = yield* Effect.forkChild(readAll(pull))
      yield* Scope.close(calling, Exit.void)
      yield* within("the interruption", Deferred.await(interrupted))
      assert.deepStrictEqual(yield* within("the reader", Fiber.join(reading)), ["", 1006])
    }).pipe(Effect.scoped))
})

describe("connections with an upgrade", () => {
  /** An upgrade that is open on both ends. */
  const beginOpen = Effect.fnUntraced(function*(options: Parameters<typeof makePair>[0] = {}) {
    const pair = yield* makePair(options)
    yield* serveRoutes(pair.server, upgraded("/up", echo))
    return { ...pair, ...(yield* ask(pair.client, "/up")) }
  })

  for (const drained of ["client", "server"] as const) {
    it.effect(`a drain of the ${drained} waits for an upgrade for drainTimeout, and resets it then`, () =>
      Effect.gen(function*() {
        const pair = yield* beginOpen()
        const reading = yield* Effect.forkChild(readAll(pair.pull))
        const draining = yield* Effect.forkChild(pair[drained].close({ drain: true }))
        yield* TestClock.adjust("29 seconds")
        yield* pair.writer.write("still open")
        yield* TestClock.adjust("500 millis")
        assert.isUndefined(reading.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(reading), ["still open", "SocketReadError"])
        yield* Effect.forkChild(Effect.forever(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow)))
        yield* Fiber.join(draining)
      }).pipe(Effect.scoped))
  }

  it.effect("a drain is done when the upgrade has ended", () =>
    Effect.gen(function*() {
      const { end, pull, server } = yield* beginOpen()
      const draining = yield* Effect.forkChild(server.close({ drain: true }))
      yield* TestClock.adjust("5 seconds")
      yield* end
      assert.deepStrictEqual(yield* readAll(pull), ["", 1000])
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(draining)
    }).pipe(Effect.scoped))

  it.effect("a connection with an upgrade is not idle", () =>
    Effect.gen(function*() {
      const { client, end, pull } = yield* beginOpen({ serverLimits: { maxConnectionIdle: "10 seconds" } })
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* client.status, "open")
      yield* end
      assert.deepStrictEqual(yield* readAll(pull), ["", 1000])
      yield* TestClock.adjust("1 minute")
      assert.notStrictEqual(yield* client.status, "open")
    }).pipe(Effect.scoped))

  it.effect("an upgrade that something else of the application uses goes on behind its handler, until its API closes", () =>
    Effect.gen(function*() {
      const pair = yield* makePair()
      const outside = yield* Effect.scope
      const serving = yield* Scope.make()
      const routes = upgraded("/up", (socket) =>
        Effect.gen(function*() {
          const writer = yield* Scope.provide(socket.writer, outside)
          const { pull } = yield* Scope.provide(socket.reader, outside)
          yield* Effect.forkIn(Effect.forever(Effect.flatMap(pull, writer.writeAll)), outside)
        }))
      yield* Scope.provide(serveRoutes(pair.server, routes), serving)
      const { pull, writer } = yield* ask(pair.client, "/up")
      yield* writer.write("behind the handler")
      assert.deepStrictEqual((yield* pull).map((chunk) => utf8.decode(chunk as Uint8Array)), ["behind the handler"])
      const closing = yield* Effect.forkChild(Scope.close(serving, Exit.void))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* readAll(pull), ["", "SocketReadError"])
    }).pipe(Effect.scoped))
})

const size = extent("UPGRADE_MIB", 2, 64)

describe("long upgrades", () => {
  /** Bytes that repeat after no length of a frame. */
  const chunk = Uint8Array.from({ length: 65_521 }, (_, index) => index * index)
  const count = Math.ceil(size * MiB / chunk.length)
  const written = Crypto.createHash("sha256")
  for (let n = 0; n < count; n++) written.update(chunk)
  const expected = written.digest("hex")

  /** Writes all of it, while all of the other direction is read. */
  const exchange = (socket: Socket.Socket) =>
    Effect.gen(function*() {
      const { pull } = yield* socket.reader
      const write = Effect.scoped(Effect.flatMap(socket.writer, (writer) =>
        Effect.forEach(Array.from({ length: count }), () =>
          writer.write(chunk), { discard: true })))
      const writing = yield* Effect.forkChild(write)
      const read = Crypto.createHash("sha256")
      yield* Effect.flip(Effect.forever(Effect.map(pull, (chunks) => {
        for (const one of chunks) {
          read.update(one)
        }
      })))
      yield* Fiber.join(writing)
      return read.digest("hex")
    })

  it.live(
    `${size} MiB go each way at once inside one upgrade, every byte as it was sent`,
    () =>
      Effect.gen(function*() {
        const ends = yield* join()
        const other = yield* Deferred.make<string>()
        yield* serveRoutes(
          ends.server,
          upgraded("/up", (socket) => Effect.flatMap(exchange(socket), (read) => Deferred.succeed(other, read)))
        )
        const request = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))
        const socket = yield* (yield* ApiClient.make(ends.client).execute(request)).upgrade
        assert.strictEqual(yield* exchange(socket), expected)
        assert.strictEqual(yield* Deferred.await(other), expected)
      }).pipe(Effect.scoped),
    60_000 + size * 2000
  )
})

/**
 * What an upgrade does, whatever is between its ends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import type * as Connection from "effect-swaggersocket/Connection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { serveRoutes } from "../support/connections.ts"
import { hubs, type PassOn } from "../support/relays.ts"
import { turn, within } from "../support/waiting.ts"

const { makePair } = SwaggerSocketTest

/** The caller's end of a connection, with all links on the way to the routes. */
interface Begun {
  readonly calling: Connection.Connection
  readonly cut: Effect.Effect<void>
}

/** Serves routes. */
export type Way = (
  routes: Layer.Layer<never, never, HttpRouter.HttpRouter>
) => Effect.Effect<Begun, unknown, Scope.Scope>

const direct = (serving: "client" | "server"): Way =>
  Effect.fnUntraced(function*(routes) {
    const { cut, ...ends } = yield* makePair()
    yield* serveRoutes(ends[serving], routes)
    return { calling: ends[serving === "client" ? "server" : "client"], cut }
  })

const relayed = (passOn: PassOn): Way =>
  Effect.fnUntraced(function*(routes) {
    const [near, far] = [yield* makePair(), yield* makePair()]
    yield* passOn(near.server, far.server)
    yield* serveRoutes(far.client, routes)
    return { calling: near.client, cut: Effect.andThen(near.cut, far.cut) }
  })

export const ways: Readonly<Record<string, Way>> = {
  "the server serves": direct("server"),
  "the client serves": direct("client"),
  ...Object.fromEntries(hubs.map(([name, passOn]) => [`through a relay, ${name}`, relayed(passOn)]))
}

type Pull = Socket.Reader["pull"]
type Use = (socket: Socket.Socket) => Effect.Effect<unknown, Socket.SocketError, Scope.Scope>

const route = (use: Use) =>
  HttpRouter.add(
    "GET",
    "/up",
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ upgrade }) =>
      Effect.as(Effect.ignore(Effect.scoped(Effect.flatMap(upgrade, use))), HttpServerResponse.empty()))
  )

/** More than a window, so that writers wait for readers. */
const size = 300_000

/** Each end sends its own bytes, which repeat after no length of a frame. */
const bytes = {
  caller: Uint8Array.from({ length: size }, (_, index) => index * index),
  handler: Uint8Array.from({ length: size }, (_, index) => 7 + index * index * index)
}

/** Sends bytes from `from` on. */
const send = (
  writer: Socket.Writer,
  of: keyof typeof bytes,
  from = 0,
  to = size
): Effect.Effect<void, Socket.SocketError> =>
  from >= to
    ? Effect.void
    : Effect.flatMap(writer.write(bytes[of].subarray(from, Math.min(from + 20_011, to))), () =>
      send(writer, of, from + 20_011, to))

/** Sends all bytes of an end, and ends its direction. */
const sendAll = (socket: Socket.Socket, of: keyof typeof bytes) =>
  Effect.scoped(Effect.flatMap(socket.writer, (writer) => send(writer, of)))

const endOf = ({ reason }: Socket.SocketError) => reason._tag === "SocketCloseError" ? reason.code : reason._tag

/** What comes up to the end, and how that is. */
const readAll = Effect.fnUntraced(function*(pull: Pull) {
  const parts: Array<Uint8Array | string> = []
  const error = yield* Effect.flip(Effect.forever(Effect.map(pull, (pieces) => parts.push(...pieces))))
  return { parts, end: endOf(error) }
})

/** Reads all bytes of the other end. */
const readBytes = (pull: Pull, of: keyof typeof bytes) =>
  Effect.map(readAll(pull), ({ end, parts }) => {
    const read = Buffer.concat(parts as Array<Uint8Array>)
    return [read.equals(bytes[of].subarray(0, read.length)) ? read.length : "other bytes", end] as const
  })

const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))

const ask = (connection: Connection.Connection) =>
  Effect.flatMap(ApiClient.make(connection).execute(asking), (response) => response.upgrade)

const openWebSocket = (connection: Connection.Connection) =>
  Effect.provide(ApiWebSocket.make("/up"), ApiClient.layerConnection(connection))

/** Both directions at once. */
const exchange = Effect.fnUntraced(function*(socket: Socket.Socket, own: keyof typeof bytes) {
  const { pull } = yield* socket.reader
  const sending = yield* Effect.forkScoped(sendAll(socket, own))
  const read = yield* readBytes(pull, own === "caller" ? "handler" : "caller")
  yield* Fiber.join(sending)
  return read
})

/** How a handler ends: with what it has read, or interrupted. */
const makeSeen = <A>() => {
  const seen = Deferred.makeUnsafe<A | "interrupted">()
  return {
    seen: within("the handler", Deferred.await(seen)),
    note: <E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.onInterrupt(
        Effect.tap(effect, (read) => Deferred.succeed(seen, read)),
        () => Deferred.succeed(seen, "interrupted")
      )
  }
}

type Seen = readonly [number | string, number | string]

/**
 * Simulated time passes, slowly enough for those who have much to do. To be started first: it then goes on while connections are
 * closed, one of which may have lost its link just before.
 */
const timePasses = Effect.forkScoped(Effect.forever(Effect.gen(function*() {
  for (let turns = 0; turns < 20; turns++) yield* turn
  yield* TestClock.adjust("50 millis")
})))

const rawBytes = (begin: Way) => {
  it.live("both directions carry all bytes at once, and each ends by itself", () =>
    Effect.gen(function*() {
      const { note, seen } = makeSeen<Seen>()
      const { calling } = yield* begin(route((socket) => note(exchange(socket, "handler"))))
      const read = yield* within("the exchange", Effect.flatMap(ask(calling), (socket) => exchange(socket, "caller")))
      assert.deepStrictEqual(read, [size, 1000])
      assert.deepStrictEqual(yield* seen, [size, 1000])
    }).pipe(Effect.scoped))

  it.live("the handler answers behind the end of the caller's direction", () =>
    Effect.gen(function*() {
      const { calling } = yield* begin(route((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          const [read] = yield* readBytes(pull, "caller")
          if (read === size) yield* sendAll(socket, "handler")
        })
      ))
      const socket = yield* ask(calling)
      const { pull } = yield* socket.reader
      yield* within("the request", sendAll(socket, "caller"))
      assert.deepStrictEqual(yield* within("the answer", readBytes(pull, "handler")), [size, 1000])
    }).pipe(Effect.scoped))

  it.live("the caller sends behind the end of the handler's direction", () =>
    Effect.gen(function*() {
      const { note, seen } = makeSeen<Seen>()
      const { calling } = yield* begin(route((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          yield* sendAll(socket, "handler")
          yield* note(readBytes(pull, "caller"))
        })
      ))
      const socket = yield* ask(calling)
      const { pull } = yield* socket.reader
      assert.deepStrictEqual(yield* within("the bytes", readBytes(pull, "handler")), [size, 1000])
      yield* sendAll(socket, "caller")
      assert.deepStrictEqual(yield* seen, [size, 1000])
    }).pipe(Effect.scoped))

  it.live("a caller that reads no more has sent everything, and its handler need not go on", () =>
    Effect.gen(function*() {
      const { note, seen } = makeSeen<Seen>()
      const { calling } = yield* begin(route((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          yield* note(readBytes(pull, "caller"))
        })
      ))
      yield* Effect.scoped(Effect.gen(function*() {
        const socket = yield* ask(calling)
        yield* socket.reader
        yield* sendAll(socket, "caller")
      }))
      assert.deepStrictEqual(yield* seen, [size, 1000])
    }).pipe(Effect.scoped))

  it.live("an answer other than 101 is an ordinary one", () =>
    Effect.gen(function*() {
      const { calling } = yield* begin(
        HttpRouter.add("GET", "/up", HttpServerResponse.text("not now", { status: 426 }))
      )
      const response = yield* ApiClient.make(calling).execute(asking)
      assert.deepStrictEqual([response.status, yield* response.text], [426, "not now"])
      assert.strictEqual((yield* Effect.flip(response.upgrade)).reason._tag, "StatusCodeError")
    }).pipe(Effect.scoped))
}

/** An end that writes a part and fails. Its writer belongs to the scope of its reader, or to one of its own within that. */
const failing: Readonly<Record<string, (of: keyof typeof bytes, then: Effect.Effect<never>) => Use>> = {
  "its reader comes first": (of, then) =>
    Effect.fnUntraced(function*(socket: Socket.Socket) {
      yield* socket.reader
      yield* send(yield* socket.writer, of, 0, size / 10)
      yield* then
    }),
  "its writer comes first": (of, then) =>
    Effect.fnUntraced(function*(socket: Socket.Socket) {
      const writer = yield* socket.writer
      yield* socket.reader
      yield* send(writer, of, 0, size / 10)
      yield* then
    }),
  "its writer has a scope of its own": (of, then) =>
    Effect.fnUntraced(function*(socket: Socket.Socket) {
      yield* socket.reader
      yield* Effect.scoped(Effect.gen(function*() {
        yield* send(yield* socket.writer, of, 0, size / 10)
        yield* then
      }))
    })
}

const resets = (begin: Way) => {
  for (const [order, fails] of Object.entries(failing)) {
    it.live(`a handler that fails resets the upgrade, ${order}: nobody takes a part for the whole`, () =>
      Effect.gen(function*() {
        const arrived = yield* Deferred.make<void>()
        const { calling } = yield* begin(
          route(fails("handler", Effect.andThen(Deferred.await(arrived), Effect.die("a bug"))))
        )
        const { pull } = yield* Effect.flatMap(ask(calling), (socket) => socket.reader)
        yield* within("a part", pull)
        yield* Deferred.succeed(arrived, undefined)
        assert.strictEqual((yield* within("the end", readAll(pull))).end, "SocketReadError")
      }).pipe(Effect.scoped))

    it.live(`a caller that is interrupted resets the upgrade, ${order}: nobody takes a part for the whole`, () =>
      Effect.gen(function*() {
        const { note, seen } = makeSeen<Seen>()
        const { calling } = yield* begin(
          route((socket) => Effect.flatMap(socket.reader, ({ pull }) => note(readBytes(pull, "caller"))))
        )
        const written = yield* Deferred.make<void>()
        const use = fails("caller", Effect.andThen(Deferred.succeed(written, undefined), Effect.never))
        const calls = yield* Effect.forkScoped(Effect.scoped(Effect.flatMap(ask(calling), use)))
        yield* within("the bytes", Deferred.await(written))
        yield* Fiber.interrupt(calls)
        const end = yield* seen
        assert.notStrictEqual(end[1], 1000)
      }).pipe(Effect.scoped))
  }

  it.live("a caller that closes with a code above 1000 resets the upgrade", () =>
    Effect.gen(function*() {
      const { note, seen } = makeSeen<Seen>()
      const { calling } = yield* begin(
        route((socket) => Effect.flatMap(socket.reader, ({ pull }) => note(readBytes(pull, "caller"))))
      )
      const socket = yield* ask(calling)
      const { pull } = yield* socket.reader
      const writer = yield* socket.writer
      yield* send(writer, "caller", 0, size / 10)
      yield* writer.write(new Socket.CloseEvent(1001))
      const end = yield* seen
      assert.notStrictEqual(end[1], 1000)
      assert.strictEqual((yield* within("the end", readBytes(pull, "handler")))[1], 1006)
    }).pipe(Effect.scoped))
}

const messages: Array<Uint8Array | string> = [0, 1, 125, 126, 70_000, 7, 0].flatMap((length) => [
  bytes.caller.subarray(0, length),
  "aé€".repeat(length).slice(0, length)
])

const echo: Use = (socket) =>
  Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
  })

const webSockets = (begin: Way) => {
  it.live("messages come back as they were sent, and the handler is told the caller's close code", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<unknown>()
      const { calling } = yield* begin(
        route((socket) => Effect.catch(echo(socket), (error) => Deferred.succeed(ended, endOf(error))))
      )
      const socket = yield* openWebSocket(calling)
      const { pull } = yield* socket.reader
      const writer = yield* socket.writer
      const read: Array<unknown> = []
      yield* Effect.forkScoped(Effect.forEach(messages, writer.write, { discard: true }))
      while (read.length < messages.length) read.push(...yield* within("the echo", pull))
      assert.deepStrictEqual(read, messages)
      yield* writer.write(new Socket.CloseEvent(4001, "enough"))
      assert.deepStrictEqual(yield* within("the end", readAll(pull)), { parts: [], end: 4001 })
      assert.strictEqual(yield* within("the handler", Deferred.await(ended)), 4001)
    }).pipe(Effect.scoped))

  it.live("the caller is told the handler's close code behind its last message, and 1011 where it has failed", () =>
    Effect.gen(function*() {
      let calls = 0
      const { calling } = yield* begin(route((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          yield* writer.write("the last")
          if (calls++ > 0) return yield* Effect.die("a bug")
          yield* writer.write(new Socket.CloseEvent(4002))
          yield* readAll(pull)
        })
      ))
      for (const code of [4002, 1011]) {
        const { pull } = yield* Effect.flatMap(openWebSocket(calling), (socket) => socket.reader)
        assert.deepStrictEqual(yield* within("the end", readAll(pull)), { parts: ["the last"], end: code })
      }
    }).pipe(Effect.scoped))
}

const cuts = (begin: Way) => {
  it.effect("no byte is lost or comes twice where all links are cut", () =>
    Effect.gen(function*() {
      const seen = yield* Deferred.make<Seen>()
      yield* timePasses
      const { calling, cut } = yield* begin(
        route((socket) => Effect.flatMap(exchange(socket, "handler"), (read) => Deferred.succeed(seen, read)))
      )
      const socket = yield* ask(calling)
      const exchanging = yield* Effect.forkScoped(exchange(socket, "caller"))
      for (let n = 0; n < 3; n++) {
        for (let turns = 0; turns < 1 + 7 * n; turns++) yield* turn
        yield* cut
      }
      assert.deepStrictEqual(yield* Fiber.join(exchanging), [size, 1000])
      assert.deepStrictEqual(yield* Deferred.await(seen), [size, 1000])
    }).pipe(Effect.scoped))

  it.effect("no message is lost or comes twice where all links are cut", () =>
    Effect.gen(function*() {
      yield* timePasses
      const { calling, cut } = yield* begin(route(echo))
      const socket = yield* openWebSocket(calling)
      const { pull } = yield* socket.reader
      const writer = yield* socket.writer
      const read: Array<unknown> = []
      for (let n = 0; n < 30; n++) {
        yield* writer.write(`${n}`)
        if (n % 10 === 3) yield* cut
        const due = n % 10 === 9 ? n + 1 : 0
        while (read.length < due) read.push(...yield* pull)
      }
      assert.deepStrictEqual(read, Array.from({ length: 30 }, (_, n) => `${n}`))
    }).pipe(Effect.scoped))
}

/** Registers what is so over a way. */
export const suite = (name: string, begin: Way): void => {
  describe(name, () => {
    describe("raw bytes", () => rawBytes(begin))
    describe("resets", () => resets(begin))
    describe("WebSockets", () => webSockets(begin))
    describe("lost links", () => cuts(begin))
  })
}

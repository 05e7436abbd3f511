/**
 * WebSockets inside a connection, from either end, with what a program sees of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import type * as Connection from "effect-swaggersocket/Connection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { peerOf } from "../src/internal/connection/peer.ts"
import * as frames from "../src/internal/http/webSocketFrames.ts"
import { MiB } from "./support/bodies.ts"
import { join, serveRoutes } from "./support/connections.ts"
import { extent } from "./support/extent.ts"
import { settled, turn, until, within } from "./support/waiting.ts"

const { makePair } = SwaggerSocketTest

/** A route that is a WebSocket. */
const webSocket = <E>(
  path: `/${string}`,
  use: (
    socket: Socket.Socket,
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<unknown, E, Scope.Scope>
) =>
  HttpRouter.add(
    "GET",
    path,
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      yield* use(yield* request.upgrade, request)
      return HttpServerResponse.empty()
    })
  )

/** Sends messages back, as what they came. */
const echo = webSocket("/echo", (socket) =>
  Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
  }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void)))

const open = Effect.fnUntraced(
  function*(connection: Connection.Connection, path: string, options?: ApiWebSocket.Options) {
    const socket = yield* Effect.provide(ApiWebSocket.make(path, options), ApiClient.layerConnection(connection))
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    return { socket, writer, pull }
  }
)

type Message = Uint8Array | string

/** So many messages, in order. */
const take = Effect.fnUntraced(function*(pull: Socket.Reader["pull"], count: number) {
  const messages: Array<Message> = []
  while (messages.length < count) messages.push(...yield* pull)
  return messages
})

/** The code and the reason that a WebSocket ends with, behind whatever comes before. */
const closeOf = (pull: Socket.Reader["pull"]) =>
  Effect.map(
    Effect.flip(Effect.forever(pull)),
    ({ reason }) => reason._tag === "SocketCloseError" ? [reason.code, reason.closeReason ?? ""] as const : reason._tag
  )

const messages: ReadonlyArray<Message> = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1_000_000].flatMap((
  size
) => [
  Uint8Array.from({ length: size }, (_, index) => index * 7),
  "aé€🙂".repeat(size).slice(0, size)
])

for (const [name, pair] of [["in memory", makePair], ["over a WebSocket", join]] as const) {
  for (const serving of ["server", "client"] as const) {
    const calling = serving === "server" ? "client" : "server"
    describe(`WebSockets, ${name}, the ${serving} serves`, () => {
      it.live("messages of any size arrive as they were sent, text as text and bytes as bytes", () =>
        Effect.gen(function*() {
          const ends = yield* pair()
          yield* serveRoutes(ends[serving], echo)
          const { pull, writer } = yield* open(ends[calling], "/echo")
          const taking = yield* Effect.forkChild(take(pull, messages.length))
          for (const message of messages) yield* writer.write(message)
          assert.deepStrictEqual(yield* within("the messages", Fiber.join(taking)), messages)
        }).pipe(Effect.scoped))

      it.live("a WebSocketConstructor makes WebSockets that Effect's Socket uses", () =>
        Effect.gen(function*() {
          const ends = yield* pair()
          yield* serveRoutes(ends[serving], echo)
          const context = yield* Layer.build(
            Layer.provide(ApiWebSocket.layerWebSocketConstructor, ApiClient.layerConnection(ends[calling]))
          )
          const socket = yield* Effect.provide(Socket.makeWebSocket("ws://peer/echo"), context)
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          const taking = yield* Effect.forkChild(take(pull, messages.length))
          yield* writer.writeAll(messages as [Message])
          assert.deepStrictEqual(yield* within("the messages", Fiber.join(taking)), messages)
          yield* writer.write(new Socket.CloseEvent(4000, "enough"))
          assert.deepStrictEqual(yield* within("the end", closeOf(pull)), [4000, ""])
        }).pipe(Effect.scoped))
    })
  }
}

/** A connection in memory whose server has these routes, and whose client calls. */
const begin = Effect.fnUntraced(function*<A, E, R>(routes: Layer.Layer<A, E, R>) {
  const pair = yield* makePair()
  yield* serveRoutes(pair.server, routes)
  return pair
})

describe("ends of WebSockets", () => {
  for (const code of [1000, 1001, 1011, 1013, 3000, 4999]) {
    it.live(`the close code ${code} and its reason arrive, from either end`, () =>
      Effect.gen(function*() {
        const closes: Array<unknown> = []
        const { client } = yield* begin(Layer.mergeAll(
          webSocket("/closes", (socket) =>
            Effect.gen(function*() {
              const writer = yield* socket.writer
              const { pull } = yield* socket.reader
              yield* writer.write("the last")
              yield* writer.write(new Socket.CloseEvent(code, "of the server"))
              yield* closeOf(pull)
            })),
          webSocket("/waits", (socket) =>
            Effect.flatMap(socket.reader, ({ pull }) =>
              Effect.map(closeOf(pull), (close) => closes.push(close))))
        ))
        const { pull } = yield* open(client, "/closes")
        assert.deepStrictEqual(yield* take(pull, 1), ["the last"])
        assert.deepStrictEqual(yield* within("the end", closeOf(pull)), [code, "of the server"])
        const other = yield* open(client, "/waits")
        yield* other.writer.write(new Socket.CloseEvent(code, "of the client"))
        assert.deepStrictEqual(yield* within("the end", closeOf(other.pull)), [code, ""])
        assert.deepStrictEqual(closes, [[code, "of the client"]])
      }).pipe(Effect.scoped))
  }

  it.live("a code that no close frame may have is refused, and so is what is written behind a close", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(echo)
      const { writer } = yield* open(client, "/echo")
      for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000]) {
        const error = yield* Effect.flip(writer.write(new Socket.CloseEvent(code)))
        assert.strictEqual(error.reason._tag, "SocketWriteError")
      }
      yield* writer.write(new Socket.CloseEvent(1000))
      assert.strictEqual((yield* Effect.flip(writer.write("late"))).reason._tag, "SocketWriteError")
    }).pipe(Effect.scoped))

  it.live("a handler that ends closes with 1000, one that fails with 1011, one that is interrupted with 1001", () =>
    Effect.gen(function*() {
      const begun = (end: Effect.Effect<unknown>) => (socket: Socket.Socket) => Effect.andThen(socket.reader, end)
      const { client } = yield* begin(Layer.mergeAll(
        webSocket("/ends", begun(Effect.void)),
        webSocket("/fails", begun(Effect.die("a bug"))),
        webSocket("/interrupted", begun(Effect.interrupt))
      ))
      for (const [path, code] of [["/ends", 1000], ["/fails", 1011], ["/interrupted", 1001]] as const) {
        const { pull } = yield* open(client, path)
        assert.deepStrictEqual(yield* within(path, closeOf(pull)), [code, ""])
      }
    }).pipe(Effect.scoped))

  it.live("the release of the reader closes with 1000, and the handler sees that", () =>
    Effect.gen(function*() {
      const closes: Array<unknown> = []
      const { client, server } = yield* begin(
        webSocket("/waits", (socket) =>
          Effect.flatMap(socket.reader, ({ pull }) =>
            Effect.map(closeOf(pull), (close) => closes.push(close))))
      )
      yield* Effect.scoped(open(client, "/waits"))
      // Behind the WebSocket's end.
      yield* client.close({ drain: true })
      yield* within("the end of the connection", server.closed)
      assert.deepStrictEqual(closes, [[1000, ""]])
    }).pipe(Effect.scoped))

  it.live("whoever gives a WebSocket up whose peer takes nothing leaves no stream", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(webSocket("/mute", (socket) => Effect.andThen(socket.reader, Effect.never)))
      let written = 0
      const writing = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
        const { writer } = yield* open(client, "/mute")
        yield* Effect.forever(Effect.andThen(
          writer.write(new Uint8Array(10_000)),
          Effect.sync(() => written += 10_000)
        ))
      })))
      yield* settled("what is written", () => written)
      yield* Fiber.interrupt(writing)
      yield* until("the stream has ended", () => peerOf(client).mux.active.local === 0)
    }).pipe(Effect.scoped))

  it.live("the loss of the connection closes with 1006", () =>
    Effect.gen(function*() {
      const { client, server } = yield* begin(echo)
      const { pull } = yield* open(client, "/echo")
      const ending = yield* Effect.forkChild(closeOf(pull))
      yield* server.close()
      assert.strictEqual((yield* within("the end", Fiber.join(ending)))[0], 1006)
    }).pipe(Effect.scoped))

  it.live("each reader opens another WebSocket", () =>
    Effect.gen(function*() {
      let opened = 0
      const { client } = yield* begin(
        webSocket("/count", (socket) =>
          Effect.gen(function*() {
            const writer = yield* socket.writer
            const { pull } = yield* socket.reader
            yield* writer.write(String(++opened))
            yield* closeOf(pull)
          }))
      )
      const socket = yield* Effect.provide(ApiWebSocket.make("/count"), ApiClient.layerConnection(client))
      for (const expected of ["1", "2", "3"]) {
        const [message] = yield* Effect.scoped(Effect.flatMap(socket.reader, ({ pull }) => pull))
        assert.strictEqual(message, expected)
      }
    }).pipe(Effect.scoped))
})

describe("writers of WebSockets", () => {
  it.live("a writer that waits for room goes on when the peer has closed: what it has written is sent", () =>
    Effect.gen(function*() {
      const done = yield* Deferred.make<void>()
      const { client } = yield* begin(webSocket("/closes", (socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          yield* writer.write(new Socket.CloseEvent(4000))
          yield* Deferred.await(done)
        })))
      const { pull, writer } = yield* open(client, "/closes")
      const writing = yield* Effect.forkChild(writer.write(new Uint8Array(MiB)))
      yield* turn
      assert.isUndefined(writing.pollUnsafe())
      // Nothing is sent behind the answer to the close frame.
      assert.deepStrictEqual(yield* within("the end", closeOf(pull)), [4000, ""])
      yield* Effect.ensuring(within("the writer", Fiber.join(writing)), Deferred.succeed(done, undefined))
    }).pipe(Effect.scoped))
})

describe("how WebSockets are asked for", () => {
  it.live("the first subprotocol is selected, and fields arrive", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const { client } = yield* begin(webSocket("/fields", (socket, { headers }) => {
        seen.push([
          headers["sec-websocket-protocol"],
          headers["x-token"],
          headers.connection,
          headers["sec-websocket-key"]
        ])
        return socket.reader
      }))
      const response = yield* ApiClient.make(client).execute(
        HttpClientRequest.get("/fields", { headers: { "sec-websocket-protocol": "chat, other", "x-token": "t" } }).pipe(
          HttpClientRequest.upgrade("websocket")
        )
      )
      assert.strictEqual(response.headers["sec-websocket-protocol"], "chat")
      assert.strictEqual(response.headers.upgrade, "websocket")
      yield* open(client, "/fields", { protocols: ["chat", "other"], headers: { "x-token": "t" } })
      assert.deepStrictEqual(seen, [["chat, other", "t", "Upgrade", undefined], [
        "chat, other",
        "t",
        "Upgrade",
        undefined
      ]])
    }).pipe(Effect.scoped))

  it.live("an answer other than 101 is a SocketOpenError, and so is a peer without upgrades", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(echo)
      const missing = yield* Effect.flip(open(client, "/none"))
      assert.strictEqual(missing.reason._tag, "SocketOpenError")
      assert.include(String((missing.reason as Socket.SocketOpenError).cause), "404")
      const without = yield* makePair({ serverLimits: { upgrade: 0 } })
      yield* serveRoutes(without.server, echo)
      assert.strictEqual((yield* Effect.flip(open(without.client, "/echo"))).reason._tag, "SocketOpenError")
    }).pipe(Effect.scoped))

  it.live("custom fields of a WebSocket's 101 are refused, as on Effect's servers, and so are other methods than GET", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(HttpRouter.add(
        "*",
        "/fields",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return yield* Effect.match(request.upgradeWith({ headers: request.method === "GET" ? { "x-a": "b" } : {} }), {
            onFailure: ({ reason }) => HttpServerResponse.text(reason._tag),
            onSuccess: () => HttpServerResponse.text("upgraded")
          })
        })
      ))
      for (const [method, tag] of [["GET", "InternalError"], ["POST", "RequestParseError"]] as const) {
        const request = HttpClientRequest.make(method)("/fields").pipe(HttpClientRequest.upgrade("websocket"))
        assert.strictEqual(yield* (yield* ApiClient.make(client).execute(request)).text, tag)
      }
    }).pipe(Effect.scoped))
})

/** The bytes of a WebSocket, to write frames of one's own. */
const openRaw = Effect.fnUntraced(function*(connection: Connection.Connection, path: string) {
  const response = yield* ApiClient.make(connection).execute(
    HttpClientRequest.get(path).pipe(HttpClientRequest.upgrade("websocket"))
  )
  const socket = yield* response.upgrade
  const writer = yield* socket.writer
  const { pull } = yield* socket.reader
  const send = (parts: ReadonlyArray<Uint8Array>) => writer.writeAll(parts as [Uint8Array])
  const all = Effect.gen(function*() {
    const chunks: Array<Uint8Array> = []
    yield* Effect.flip(Effect.forever(Effect.map(pull, (some) => chunks.push(...some as ReadonlyArray<Uint8Array>))))
    return new Uint8Array(Buffer.concat(chunks))
  })
  return { send, all }
})

describe("frames of a peer", () => {
  const answer = (
    title: string,
    sent: ReadonlyArray<Uint8Array>,
    expected: ReadonlyArray<Uint8Array>
  ) =>
    it.live(title, () =>
      Effect.gen(function*() {
        const { client } = yield* begin(echo)
        const { all, send } = yield* openRaw(client, "/echo")
        yield* send([...sent, ...frames.close(1000, "")])
        assert.deepStrictEqual(yield* within("the answer", all), new Uint8Array(Buffer.concat(expected)))
      }).pipe(Effect.scoped))

  const { Opcode, close, frame, message } = frames
  const ping = Uint8Array.of(1, 2, 3)
  answer("a ping is answered with its data", [...frame(Opcode.PING, ping)], [
    ...frame(Opcode.PONG, ping),
    ...close(1000, "")
  ])
  answer("a pong that answers nothing is ignored", [...frame(Opcode.PONG, ping)], [...close(1000, "")])
  answer("fragments and masked frames are one message", [
    Uint8Array.of(0x01, 2, 0x68, 0x65),
    Uint8Array.of(0x80, 0x83, 0, 0, 1, 1, 0x6c, 0x6c, 0x6e)
  ], [...message("hello"), ...close(1000, "")])
  answer("a frame with a reserved bit closes with 1002", [Uint8Array.of(0xc1, 0)], [
    ...close(1002, "reserved bits are set")
  ])
  answer("text that is not UTF-8 closes with 1007", [Uint8Array.of(0x81, 1, 0xff)], [
    ...close(1007, "text that is not UTF-8")
  ])
  answer("a message above 16 MiB closes with 1009 before it arrives", [
    Uint8Array.of(0x82, 127, 0, 0, 0, 0, 1, 0, 0, 1)
  ], [
    ...close(1009, "a message of more than 16777216 bytes")
  ])
})

/** What a program sees of a WebSocket that it has made. */
interface Made extends Socket.WebSocketLike {
  readonly protocol: string
  readonly bufferedAmount: number
  readonly pause: () => void
  readonly resume: () => void
}

/** Makes WebSockets on a connection, and tells their events in order. */
const maker = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const context = yield* Layer.build(
    Layer.provide(ApiWebSocket.layerWebSocketConstructor, ApiClient.layerConnection(connection))
  )
  return (path: string, protocols?: string) => {
    const ws = Context.get(context, Socket.WebSocketConstructor)(path, protocols) as Made
    const events: Array<unknown> = []
    for (const type of ["open", "message", "error", "close"] as const) {
      ws.addEventListener(type, ({ code, data, reason }) => {
        events.push(type === "message" ? data : type === "close" ? [code, reason] : type)
      })
    }
    return { ws, events }
  }
})

describe("WebSockets that a program makes", () => {
  it.live("events come in order, and what is sent in the state that does not allow it is refused or dropped", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(echo)
      const { events, ws } = (yield* maker(client))("/echo", "chat")
      assert.strictEqual(ws.readyState, 0)
      assert.throws(() => ws.send("early"), "not open")
      yield* until("it opens", () => ws.readyState === 1)
      assert.strictEqual(ws.protocol, "chat")
      ws.send("text")
      ws.send(Uint8Array.of(1, 2))
      yield* until("the echo", () => events.length === 3)
      assert.throws(() => ws.close(1006), "no code")
      ws.close(4000, "enough")
      assert.strictEqual(ws.readyState, 2)
      ws.send("late")
      yield* until("it has closed", () => ws.readyState === 3)
      assert.deepStrictEqual(events, ["open", "text", Uint8Array.of(1, 2).buffer, [4000, ""]])
      assert.strictEqual(ws.bufferedAmount, 0)
    }).pipe(Effect.scoped))

  it.live("one that is closed before it is open never opens, and one that can't be opened says so", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(echo)
      const make = yield* maker(client)
      const given = make("/echo")
      given.ws.close()
      const missing = make("/none")
      yield* until("both have closed", () => given.ws.readyState + missing.ws.readyState === 6)
      assert.deepStrictEqual(given.events, [[1006, ""]])
      assert.deepStrictEqual(missing.events, ["error", [1006, ""]])
    }).pipe(Effect.scoped))

  it.live("nothing is delivered while it is paused, and nothing is lost", () =>
    Effect.gen(function*() {
      const { client } = yield* begin(webSocket("/numbers", (socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          for (let n = 0; n < 100; n++) yield* writer.write(String(n))
        })))
      const { events, ws } = (yield* maker(client))("/numbers")
      ws.addEventListener("message", () => ws.pause())
      for (let n = 0; n < 100; n++) {
        yield* until("the next message", () => events.length === n + 2)
        ws.resume()
      }
      yield* until("the end", () => ws.readyState === 3)
      assert.deepStrictEqual(events, ["open", ...Array.from({ length: 100 }, (_, n) => String(n)), [1000, ""]])
    }).pipe(Effect.scoped))

  for (
    const [what, bytes] of [["does not answer a close", 0], [
      "takes not even what was sent before a close",
      2 * MiB
    ]] as const
  ) {
    it.effect(`one whose peer ${what} is given up after 30 seconds`, () =>
      Effect.gen(function*() {
        const { client } = yield* begin(
          webSocket("/mute", (socket) => Effect.andThen(socket.reader, Effect.sleep("2 minutes")))
        )
        const { events, ws } = (yield* maker(client))("/mute")
        yield* until("it opens", () => ws.readyState === 1)
        if (bytes > 0) ws.send(new Uint8Array(bytes))
        ws.close(1000)
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(ws.readyState, 2)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(events, ["open", [1006, ""]])
        // The stream has ended on both ends, whatever the handler does.
        yield* TestClock.adjust("1 second")
        assert.strictEqual(peerOf(client).mux.active.local, 0)
        yield* TestClock.adjust("2 minutes")
      }).pipe(Effect.scoped))
  }

  it.live("the layer's scope closes them with 1001", () =>
    Effect.gen(function*() {
      const closes: Array<unknown> = []
      const { client } = yield* begin(webSocket("/waits", (socket) =>
        Effect.flatMap(socket.reader, ({ pull }) =>
          Effect.map(closeOf(pull), (close) => closes.push(close)))))
      yield* Effect.scoped(Effect.gen(function*() {
        const { ws } = (yield* maker(client))("/waits")
        yield* until("it opens", () =>
          ws.readyState === 1)
      }))
      yield* until("the handler has seen it", () => closes.length === 1)
      assert.deepStrictEqual(closes, [[1001, ""]])
    }).pipe(Effect.scoped))
})

const short = extent("SHORT_WEBSOCKETS", 200, 5000)

describe("bounds of WebSockets", () => {
  for (const calling of ["client", "server"] as const) {
    it.live(`${short} short WebSockets of the ${calling} leave nothing, and the connection open`, () =>
      Effect.gen(function*() {
        const ends = yield* makePair()
        yield* serveRoutes(ends[calling === "client" ? "server" : "client"], echo)
        const socket = yield* Effect.provide(ApiWebSocket.make("/echo"), ApiClient.layerConnection(ends[calling]))
        const once = Effect.scoped(Effect.gen(function*() {
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          yield* writer.write("hello")
          assert.deepStrictEqual(yield* pull, ["hello"])
        }))
        for (let left = short; left > 0; left--) yield* once
        const active = () => [peerOf(ends.client), peerOf(ends.server)].map(({ mux }) => mux.active)
        yield* until("all have ended", () => active().every(({ local, remote }) => local + remote === 0))
        assert.strictEqual(yield* ends.client.status, "open")
        assert.strictEqual(peerOf(ends.server).mux.unreadBytes, 0)
      }).pipe(Effect.scoped))
  }

  it.live("a message that has not arrived to its end counts as unread, which quotas of memory see", () =>
    Effect.gen(function*() {
      const { client, server } = yield* begin(echo)
      const { send } = yield* openRaw(client, "/echo")
      const { mux } = peerOf(server)
      const part = new Uint8Array(3 * MiB)
      yield* send([Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0, 64, 0, 0), part])
      yield* until("the part has arrived", () => mux.unreadBytes === part.length)
      yield* send([new Uint8Array(MiB)])
      yield* until("the whole message was taken", () => mux.unreadBytes === 0)
    }).pipe(Effect.scoped))

  it.live("a reader that stops holds its own WebSocket alone, and its writer waits", () =>
    Effect.gen(function*() {
      let written = 0
      const { client } = yield* begin(Layer.merge(
        echo,
        webSocket("/flood", (socket) =>
          Effect.gen(function*() {
            const writer = yield* socket.writer
            yield* socket.reader
            return yield* Effect.forever(Effect.andThen(
              writer.write(new Uint8Array(10_000)),
              Effect.sync(() => {
                written += 10_000
              })
            ))
          }))
      ))
      const flood = yield* open(client, "/flood")
      yield* flood.pull
      yield* until("the writer waits", () => written > 262_144)
      for (let n = 0; n < 20; n++) {
        const { pull, writer } = yield* open(client, "/echo")
        yield* writer.write("goes on")
        assert.deepStrictEqual(yield* within("another WebSocket", take(pull, 1)), ["goes on"])
      }
      // The window, what it has grown by, and what waits to be sent.
      assert.isBelow(written, 2 * MiB)
    }).pipe(Effect.scoped))
})

describe("RPC", () => {
  class Count extends Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }) {}
  class Double extends Rpc.make("Double", { payload: { of: Schema.Int }, success: Schema.Int }) {}
  class Group extends RpcGroup.make(Count, Double) {}

  const Handlers = Group.toLayer({
    Count: ({ to }) => Stream.range(1, to),
    Double: ({ of }) => Effect.succeed(of * 2)
  })
  const Routes = RpcServer.layerHttp({ group: Group, path: "/rpc", protocol: "websocket" }).pipe(
    Layer.provide([Handlers, RpcSerialization.layerNdjson])
  )

  for (const serving of ["server", "client"] as const) {
    it.live(`RpcServer and RpcClient work over a WebSocket inside a connection, and survive cuts; the ${serving} serves`, () =>
      Effect.gen(function*() {
        const ends = yield* makePair()
        yield* serveRoutes(ends[serving], Routes)
        const Protocol = RpcClient.layerProtocolSocket().pipe(
          Layer.provide([ApiWebSocket.layer("/rpc"), RpcSerialization.layerNdjson]),
          Layer.provide(ApiClient.layerConnection(ends[serving === "server" ? "client" : "server"]))
        )
        yield* Effect.gen(function*() {
          const client = yield* RpcClient.make(Group)
          assert.strictEqual(yield* client.Double({ of: 21 }), 42)
          let counted = 0
          yield* Stream.runForEach(client.Count({ to: 1000 }), (number) => {
            assert.strictEqual(number, ++counted)
            return number % 200 === 0 ? ends.cut : Effect.void
          })
          assert.strictEqual(counted, 1000)
          assert.strictEqual(yield* client.Double({ of: 4 }), 8)
        }).pipe(Effect.provide(Protocol))
      }).pipe(Effect.scoped))
  }
})

const cuts = extent("WEBSOCKET_CUTS", 40, 200)

describe("lost links", () => {
  it.effect(`${cuts} cuts under a WebSocket: every message once, in order, both ways`, () =>
    Effect.gen(function*() {
      const { client, cut } = yield* begin(echo)
      const { pull, writer } = yield* open(client, "/echo")
      // The client waits before it dials again.
      yield* Effect.forkChild(Effect.forever(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow)))
      const received: Array<Message> = []
      for (let round = 0; round < cuts; round++) {
        for (let n = 0; n < 5; n++) yield* writer.write(`${round}.${n}`)
        yield* cut
        for (let n = 5; n < 10; n++) yield* writer.write(`${round}.${n}`)
        received.push(...yield* take(pull, 1))
      }
      received.push(...yield* take(pull, cuts * 10 - received.length))
      const expected = Array.from({ length: cuts * 10 }, (_, at) => `${Math.floor(at / 10)}.${at % 10}`)
      assert.deepStrictEqual(received, expected)
    }).pipe(Effect.scoped))
})

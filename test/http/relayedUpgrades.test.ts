/**
 * Upgrades that a hub passes on to a device. What all upgrades do is in `upgradeKinds.ts`.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"

import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiWebSocket from "effect-swaggersocket/ApiWebSocket"
import type * as Connection from "effect-swaggersocket/Connection"
import type * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Net from "node:net"
import * as WS from "ws"
import { peerOf } from "../../src/internal/connection/peer.ts"
import { MiB } from "../support/bodies.ts"
import { serveRoutes } from "../support/connections.ts"
import { hubs, type PassOn } from "../support/relays.ts"
import { until, within } from "../support/waiting.ts"

const { makePair } = SwaggerSocketTest
const utf8 = new TextDecoder()

type Use = (socket: Socket.Socket) => Effect.Effect<unknown, Socket.SocketError, Scope.Scope>

/** A route of the device that is upgraded. */
const upgraded = (path: `/${string}`, use: Use) =>
  HttpRouter.add(
    "*",
    path,
    Effect.gen(function*() {
      yield* use(yield* (yield* HttpServerRequest.HttpServerRequest).upgrade)
      return HttpServerResponse.empty()
    }).pipe(Effect.catchTag("HttpServerError", () => Effect.succeed(HttpServerResponse.empty({ status: 426 }))))
  )

const echo: Use = (socket) =>
  Effect.gen(function*() {
    const writer = yield* socket.writer
    const { pull } = yield* socket.reader
    yield* Effect.forever(Effect.flatMap(pull, writer.writeAll))
  }).pipe(Effect.catchReason("SocketError", "SocketCloseError", () => Effect.void))

/** Makes a caller, a hub and a device in memory. */
const makeBegin = (passOn: PassOn) =>
  Effect.fnUntraced(function*(use: Use, limits: { readonly deviceLimits?: Limits.Options } = {}) {
    const calling = yield* makePair()
    const device = yield* makePair({ limits: limits.deviceLimits })
    yield* passOn(calling.server, device.server)
    yield* serveRoutes(device.client, upgraded("/up", use))
    return { calling, device }
  })

const openSocket = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse) {
  const socket = yield* response.upgrade
  const writing = yield* Scope.make()
  const writer = yield* Scope.provide(socket.writer, writing)
  const { pull } = yield* socket.reader
  return { response, writer, pull, end: Scope.close(writing, Exit.void) }
})

const asking = HttpClientRequest.get("/up").pipe(HttpClientRequest.upgrade("bytes"))

const ask = (connection: Connection.Connection) =>
  Effect.flatMap(ApiClient.make(connection).execute(asking), openSocket)

const open = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const socket = yield* Effect.provide(ApiWebSocket.make("/up"), ApiClient.layerConnection(connection))
  const writer = yield* socket.writer
  const { pull } = yield* socket.reader
  return { writer, pull }
})

/** The number of bytes up to the end, and how it ends. */
const drain = (pull: Socket.Reader["pull"]) =>
  Effect.gen(function*() {
    let size = 0
    const { reason } = yield* Effect.flip(Effect.forever(Effect.map(pull, (chunks) => {
      for (const chunk of chunks) size += chunk.length
    })))
    return [size, reason._tag === "SocketCloseError" ? reason.code : reason._tag] as const
  })

describe.each(hubs)("bytes of an upgrade relayed %s", (_, passOn) => {
  const begin = makeBegin(passOn)

  it.live("a caller that gives up interrupts the handler of the device", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const { calling } = yield* begin((socket) =>
        Effect.andThen(socket.reader, Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const response = yield* ApiClient.make(calling.client).execute(asking)
      const socket = yield* response.upgrade
      const writer = yield* socket.writer
      yield* socket.reader
      yield* writer.write(new Socket.CloseEvent(1001))
      yield* within("the interruption", Deferred.await(interrupted))
    }).pipe(Effect.scoped))

  it.live("a caller that has sent all and reads no more ends the device's stream, whose handler has read all", () =>
    Effect.gen(function*() {
      const read = yield* Deferred.make<readonly [number, unknown]>()
      const { calling, device } = yield* begin((socket) =>
        Effect.gen(function*() {
          const { pull } = yield* socket.reader
          yield* Deferred.succeed(read, yield* drain(pull))
        })
      )
      yield* Effect.scoped(Effect.flatMap(ask(calling.client), ({ writer }) => writer.write("bye")))
      assert.deepStrictEqual(yield* within("the handler", Deferred.await(read)), [3, 1000])
      // No stream is left to wait for.
      yield* within("the drain", device.client.close({ drain: true }))
    }).pipe(Effect.scoped))

  it.live("a device that knows no upgrades is asked for none, and a caller that knows none gets none", () =>
    Effect.gen(function*() {
      const { calling } = yield* begin(echo, { deviceLimits: { upgrade: 0 } })
      assert.strictEqual((yield* ApiClient.make(calling.client).execute(asking)).status, 426)
      const old = yield* makePair({ limits: { upgrade: 0 } })
      const device = yield* makePair()
      yield* passOn(old.server, device.server)
      yield* serveRoutes(device.client, upgraded("/up", echo))
      assert.strictEqual((yield* ApiClient.make(old.client).execute(asking)).status, 426)
    }).pipe(Effect.scoped))

  it.live("an ordinary answer to a request for an upgrade is passed on", () =>
    Effect.gen(function*() {
      const { calling } = yield* begin(echo)
      const response = yield* ApiClient.make(calling.client).execute(
        HttpClientRequest.post("/none").pipe(HttpClientRequest.upgrade("bytes"))
      )
      assert.strictEqual(response.status, 404)
    }).pipe(Effect.scoped))

  it.live("a reader that stops holds its own upgrade alone, and no more of it than windows have", () =>
    Effect.gen(function*() {
      let written = 0
      const { calling } = yield* begin((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          const { pull } = yield* socket.reader
          const [kind] = yield* pull
          if (utf8.decode(kind as Uint8Array) === "flood") {
            yield* Effect.forever(Effect.andThen(
              writer.write(new Uint8Array(16_384)),
              Effect.sync(() => {
                written += 16_384
              })
            ))
          }
          yield* writer.write("fine")
        })
      )
      const flood = yield* ask(calling.client)
      yield* flood.writer.write("flood")
      yield* until("the flood has begun", () => written > MiB / 4)
      for (let n = 0; n < 20; n++) {
        const other = yield* ask(calling.client)
        yield* other.writer.write("other")
        assert.deepStrictEqual(yield* within("another upgrade", drain(other.pull)), [4, 1000])
      }
      // Two windows, and what waits to be sent on both ends.
      assert.isBelow(written, MiB)
    }).pipe(Effect.scoped))
})

describe.each(hubs)("WebSockets relayed %s", (_, passOn) => {
  const begin = makeBegin(passOn)

  it.effect("every message arrives once and in order, however often both links are cut", () =>
    Effect.gen(function*() {
      const { calling, device } = yield* begin(echo)
      const { pull, writer } = yield* open(calling.client)
      // Clients wait before they dial again.
      yield* Effect.forkChild(Effect.forever(Effect.andThen(TestClock.adjust("1 second"), Effect.yieldNow)))
      const received: Array<unknown> = []
      const rounds = 20
      for (let round = 0; round < rounds; round++) {
        for (let n = 0; n < 10; n++) {
          yield* writer.write(`${round}.${n}`)
          if (n === 3) yield* calling.cut
          if (n === 7) yield* device.cut
        }
        while (received.length < round * 10) received.push(...yield* pull)
      }
      while (received.length < rounds * 10) received.push(...yield* pull)
      const expected = Array.from({ length: rounds * 10 }, (_, at) => `${Math.floor(at / 10)}.${at % 10}`)
      assert.deepStrictEqual(received, expected)
    }).pipe(Effect.scoped))

  it.live("the loss of the device closes with 1006, and close codes are passed on", () =>
    Effect.gen(function*() {
      const { calling, device } = yield* begin(echo)
      const closing = yield* open(calling.client)
      yield* closing.writer.write(new Socket.CloseEvent(4321))
      assert.deepStrictEqual(yield* within("the close", drain(closing.pull)), [0, 4321])
      const lost = yield* open(calling.client)
      yield* device.client.close()
      assert.deepStrictEqual(yield* within("the loss", drain(lost.pull)), [0, 1006])
      assert.strictEqual(yield* calling.client.status, "open")
    }).pipe(Effect.scoped))
})

describe("handlers of the hub", () => {
  it.live("a device that has ended before the hub has answered wants nothing more of the caller", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      const left = yield* Deferred.make<void>()
      // A middleware of the hub that takes its time.
      const slowly = Effect.tap(Relay.to(device.server), () =>
        Effect.andThen(
          Deferred.await(left),
          until("the end of the device's stream", () => peerOf(device.server).mux.active.local === 0)
        ))
      yield* serveRoutes(calling.server, HttpRouter.add("*", "/*", slowly))
      const greet: Use = (socket) =>
        Effect.scoped(Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          yield* writer.write("bye")
        })).pipe(Effect.ensuring(Deferred.succeed(left, undefined)))
      yield* serveRoutes(device.client, upgraded("/up", greet))
      const { pull, writer } = yield* ask(calling.client)
      assert.deepStrictEqual(yield* within("the device's bytes", drain(pull)), [3, 1000])
      yield* until("the end of the caller's stream", () => peerOf(calling.client).mux.active.local === 0)
      assert.strictEqual((yield* Effect.flip(writer.write("more"))).reason._tag, "SocketWriteError")
    }).pipe(Effect.scoped))

  it.live("an answer whose status a middleware of the hub changes is no upgrade", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      yield* serveRoutes(
        calling.server,
        HttpRouter.add("*", "/*", Effect.map(Relay.to(device.server), HttpServerResponse.setStatus(403)))
      )
      yield* serveRoutes(device.client, upgraded("/up", echo))
      const response = yield* ApiClient.make(calling.client).execute(asking)
      assert.strictEqual(response.status, 403)
      assert.strictEqual(yield* response.text, "")
    }).pipe(Effect.scoped))
})

describe("callers over plain HTTP", () => {
  /** A hub on a port, and a device in memory. */
  const beginPlain = Effect.fnUntraced(function*(use: Use) {
    const device = yield* makePair()
    yield* serveRoutes(device.client, upgraded("/up", use))
    yield* HttpRouter.serve(HttpRouter.add("*", "/*", Relay.to(device.server)), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(Layer.build)
    return { device, url: NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address) }
  })

  it.live("a WebSocket of a browser is joined to one of the device, with its messages and close codes", () =>
    Effect.gen(function*() {
      const { device, url } = yield* beginPlain(echo)
      const openPlain = Effect.gen(function*() {
        const socket = yield* Socket.makeWebSocket(`${url.replace("http", "ws")}/up`)
        const writer = yield* socket.writer
        const { pull } = yield* socket.reader
        return { pull, writer }
      })
      const one = yield* openPlain
      yield* one.writer.writeAll(["text", new Uint8Array(50_000)])
      const messages = [...yield* one.pull]
      while (messages.length < 2) messages.push(...yield* one.pull)
      assert.deepStrictEqual(messages, ["text", new Uint8Array(50_000)])
      yield* one.writer.write(new Socket.CloseEvent(4321))
      assert.deepStrictEqual(yield* within("the close", drain(one.pull)), [0, 4321])
      const other = yield* openPlain
      yield* device.client.close()
      assert.deepStrictEqual(yield* within("the loss", drain(other.pull)), [0, 1011])
      assert.strictEqual((yield* Effect.flip(openPlain)).reason._tag, "SocketOpenError")
    }).pipe(
      Effect.provide(Layer.merge(NodeHttpServer.layerTest, NodeSwaggerSocket.layerWebSocketConstructor)),
      Effect.scoped
    ))

  it.live("a WebSocket of a browser that is closed without a code closes that of the device with 1000", () =>
    Effect.gen(function*() {
      const closes: Array<unknown> = []
      const { url } = yield* beginPlain((socket) =>
        Effect.flatMap(socket.reader, ({ pull }) => Effect.map(drain(pull), (close) => closes.push(close)))
      )
      const webSocket = new WS.WebSocket(`${url.replace("http", "ws")}/up`)
      webSocket.on("open", () => webSocket.close())
      yield* until("the device has seen the close", () => closes.length > 0)
      assert.deepStrictEqual(closes, [[0, 1000]])
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("of the subprotocols that a browser offers the device is offered the one that is selected", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      const offered: Array<unknown> = []
      yield* serveRoutes(
        device.client,
        HttpRouter.add("GET", "/up", (request) =>
          Effect.gen(function*() {
            offered.push(request.headers["sec-websocket-protocol"])
            yield* (yield* request.upgrade).reader
            return HttpServerResponse.empty()
          }))
      )
      yield* HttpRouter.serve(HttpRouter.add("*", "/*", Relay.to(device.server)), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(Layer.build)
      const url = NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address)
      const webSocket = new WS.WebSocket(`${url.replace("http", "ws")}/up`, ["chat", "other"])
      yield* until("the WebSocket has closed", () => webSocket.readyState === WS.WebSocket.CLOSED)
      assert.deepStrictEqual([webSocket.protocol, offered], ["chat", ["chat"]])
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("a browser that closes its WebSocket ends a handler of the device that reads nothing", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const { url } = yield* beginPlain((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          yield* Effect.forever(Effect.andThen(writer.write("a line of a log"), Effect.sleep("1 millis")))
        }).pipe(Effect.ensuring(Deferred.succeed(ended, undefined)))
      )
      const webSocket = new WS.WebSocket(`${url.replace("http", "ws")}/up`)
      webSocket.once("message", () => webSocket.close())
      yield* within("the end of the handler", Deferred.await(ended))
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("a request with a body asks for no upgrade, and its body is passed on", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      yield* serveRoutes(
        device.client,
        HttpRouter.add("POST", "/up", (request) =>
          Effect.map(Effect.orDie(request.text), (text) =>
            HttpServerResponse.text(`${text}, ${request.headers.upgrade}`)))
      )
      yield* HttpRouter.serve(HttpRouter.add("*", "/*", Relay.to(device.server)), {
        disableLogger: true,
        disableListenLog: true
      }).pipe(Layer.build)
      const url = NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address)
      const client = yield* HttpClient.HttpClient
      const request = HttpClientRequest.post(`${url}/up`).pipe(
        HttpClientRequest.upgrade("h2c"),
        HttpClientRequest.bodyText("a body")
      )
      assert.strictEqual(yield* (yield* client.execute(request)).text, "a body, undefined")
    }).pipe(
      Effect.provide(Layer.provideMerge(NodeHttpClient.layerNodeHttp, NodeHttpServer.layerTest)),
      Effect.scoped
    ))

  it.live("a device that is lost resets the caller's connection, which must not take a part for the whole", () =>
    Effect.gen(function*() {
      const { device, url } = yield* beginPlain((socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          yield* socket.reader
          yield* writer.write("a part")
          yield* Effect.never
        })
      )
      const seen: Array<unknown> = []
      const caller = Net.connect(Number(new URL(url).port), "127.0.0.1")
      caller.on("error", (error: NodeJS.ErrnoException) => seen.push(error.code)).on("end", () => seen.push("end"))
      caller.setEncoding("utf8").on("data", (text: string) => {
        if (text.includes("a part")) seen.push("a part")
      })
      caller.write("GET /up HTTP/1.1\r\nhost: hub\r\nconnection: upgrade\r\nupgrade: bytes\r\n\r\n")
      yield* until("a part has arrived", () => seen.length === 1)
      yield* device.client.close()
      yield* until("the end", () => seen.length === 2)
      assert.deepStrictEqual(seen, ["a part", "ECONNRESET"])
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("bytes of an upgrade are joined, and a refusal is passed on", () =>
    Effect.gen(function*() {
      const { url } = yield* beginPlain(echo)
      const client = yield* HttpClient.HttpClient
      const request = (path: string) => HttpClientRequest.get(`${url}${path}`).pipe(HttpClientRequest.upgrade("bytes"))
      const { end, pull, writer } = yield* Effect.flatMap(client.execute(request("/up")), openSocket)
      const reading = yield* Effect.forkChild(drain(pull))
      yield* writer.write(new Uint8Array(200_000))
      yield* end
      assert.deepStrictEqual(yield* within("the echo", Fiber.join(reading)), [200_000, 1000])
      assert.strictEqual((yield* client.execute(request("/none"))).status, 404)
    }).pipe(
      Effect.provide(Layer.provideMerge(NodeHttpClient.layerNodeHttp, NodeHttpServer.layerTest)),
      Effect.scoped
    ))
})

/**
 * TCP connections that a route stands for.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { MiB } from "../support/bodies.ts"
import { serveRoutes } from "../support/connections.ts"
import { until, within } from "../support/waiting.ts"

const { makePair } = SwaggerSocketTest

/** A TCP server on loopback, and its port. */
const listen = (onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly server: Net.Server }>((resume) => {
      const server = Net.createServer({ allowHalfOpen: true }, onConnection)
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ server, port: (server.address() as Net.AddressInfo).port }))
      })
    }),
    ({ server }) => Effect.sync(() => server.close())
  )

/** A connection whose server has the route `/tcp/name`. */
const begin = Effect.fnUntraced(function*(port: number) {
  const pair = yield* makePair()
  const address = { host: "127.0.0.1", port }
  yield* serveRoutes(pair.server, HttpRouter.add("GET", "/tcp/name", NodeSwaggerSocket.tcp(address)))
  return pair
})

const asking = HttpClientRequest.get("/tcp/name").pipe(HttpClientRequest.upgrade("tcp"))

const ask = Effect.fnUntraced(function*(connection: Connection.Connection) {
  const socket = yield* (yield* ApiClient.make(connection).execute(asking)).upgrade
  const writing = yield* Scope.make()
  const writer = yield* Scope.provide(socket.writer, writing)
  const { pull } = yield* socket.reader
  return { pull, writer, end: Scope.close(writing, Exit.void) }
})

/** All bytes up to the end, and how it ends. */
const drain = (pull: Socket.Reader["pull"]) =>
  Effect.gen(function*() {
    const all: Array<Uint8Array> = []
    const { reason } = yield* Effect.flip(Effect.forever(Effect.map(pull, (chunks) => {
      all.push(...chunks as ReadonlyArray<Uint8Array>)
    })))
    return [Buffer.concat(all).toString(), reason._tag === "SocketCloseError" ? reason.code : reason._tag] as const
  })

describe("tcp", () => {
  it.live("bytes go to the address of the route and back, and each direction ends by itself", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => {
        let size = 0
        socket.on("data", (data) => size += data.length)
        // Behind the end of the caller's direction.
        socket.on("end", () => socket.end(`${size} bytes`))
      })
      const { client } = yield* begin(port)
      const { end, pull, writer } = yield* ask(client)
      yield* writer.write(new Uint8Array(3 * MiB))
      yield* end
      assert.deepStrictEqual(yield* within("the answer", drain(pull)), [`${3 * MiB} bytes`, 1000])
    }).pipe(Effect.scoped))

  it.live("it works through a hub", () =>
    Effect.gen(function*() {
      const { port } = yield* listen((socket) => socket.end("hello"))
      const device = yield* begin(port)
      const calling = yield* makePair()
      yield* serveRoutes(calling.server, HttpRouter.add("*", "/*", Relay.to(device.client)))
      const { pull } = yield* ask(calling.client)
      assert.deepStrictEqual(yield* within("the answer", drain(pull)), ["hello", 1000])
    }).pipe(Effect.scoped))

  it.live("a TCP connection that breaks resets the stream, and a caller that gives up ends the TCP connection", () =>
    Effect.gen(function*() {
      const sockets: Array<Net.Socket> = []
      const { port } = yield* listen((socket) => {
        sockets.push(socket.on("error", () => {}))
        socket.write("a part")
      })
      const { client } = yield* begin(port)
      const { pull } = yield* ask(client)
      yield* pull
      const reading = yield* Effect.forkChild(drain(pull))
      sockets[0]!.resetAndDestroy()
      assert.strictEqual((yield* within("the end", Fiber.join(reading)))[1], "SocketReadError")
      yield* Effect.scoped(Effect.flatMap(ask(client), ({ pull }) => pull))
      yield* until("the TCP connection has ended", () => sockets[1]!.readableEnded || sockets[1]!.destroyed)
      // The service keeps its half open: a drain would wait for it.
      yield* client.close()
    }).pipe(Effect.scoped))

  it.live("a caller that is lost before it has sent all resets the TCP connection", () =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      const { port } = yield* listen((socket) => {
        socket.on("error", (error: NodeJS.ErrnoException) => ends.push(error.code!)).on("end", () => ends.push("end"))
        socket.resume()
      })
      const ways: ReadonlyArray<
        (writer: Socket.Writer, connection: Connection.Connection) => Effect.Effect<void, Socket.SocketError>
      > = [
        (writer) => writer.write(new Socket.CloseEvent(1001)),
        (_, connection) => connection.close()
      ]
      for (const giveUp of ways) {
        const { client } = yield* begin(port)
        const { writer } = yield* ask(client)
        yield* writer.write("a part")
        yield* giveUp(writer, client)
        yield* until("the TCP connection has ended", () => ends.length > 0)
        assert.deepStrictEqual(ends.splice(0), ["ECONNRESET"])
      }
    }).pipe(Effect.scoped))

  it.live("a caller that has sent all and reads nothing ends the TCP connection in good order", () =>
    Effect.gen(function*() {
      const ends: Array<unknown> = []
      const { port } = yield* listen((socket) => {
        let size = 0
        socket.on("error", (error: NodeJS.ErrnoException) => ends.push(error.code))
        // Nobody reads the answers.
        socket.on("data", (data) => {
          size += data.length
          socket.write("received")
        }).on("end", () => {
          ends.push(size)
          socket.end()
        })
      })
      const { client } = yield* begin(port)
      yield* Effect.scoped(Effect.flatMap(ask(client), ({ writer }) => writer.write(new Uint8Array(MiB))))
      yield* until("the TCP connection has ended", () => ends.length > 0)
      assert.deepStrictEqual(ends, [MiB])
    }).pipe(Effect.scoped))

  it.live("nobody at the address is answered 502, and a request for no TCP connection 426", () =>
    Effect.gen(function*() {
      const { port, server } = yield* listen(() => {})
      yield* Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
      const { client } = yield* begin(port)
      const api = ApiClient.make(client)
      assert.strictEqual((yield* api.execute(asking)).status, 502)
      assert.strictEqual((yield* api.get("/tcp/name")).status, 426)
      const other = HttpClientRequest.get("/tcp/name").pipe(HttpClientRequest.upgrade("websocket"))
      assert.strictEqual((yield* api.execute(other)).status, 426)
    }).pipe(Effect.scoped))
})

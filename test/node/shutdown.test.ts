/**
 * Ordinary HTTP beside a SwaggerSocket server, on one that shuts down: what was begun is answered.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type * as Connection from "effect-swaggersocket/Connection"
import type * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import * as Net from "node:net"
import { answering, Responses } from "../../src/node/shutdown.ts"
import { bytesOf, hashOf, MiB, sha256 } from "../support/bodies.ts"
import { Hub, serveRoutes } from "../support/connections.ts"
import { slow, until } from "../support/draining.ts"
import { dial } from "../support/proxied.ts"
import { dial as dialRaw } from "../support/rawPeer.ts"

const start = Effect.forkChild({ startImmediately: true })

/** What would wait for all its time ends the test. */
const patient = { drainTimeout: "1 hour", closeTimeout: "1 hour" } as const

/** A hub with other routes beside its socket, on an HTTP server that outlives them if it is told to. */
const listen = Effect.fnUntraced(function*<A, E, R>(routes: Layer.Layer<A, E, R>, limits: Limits.Options = patient) {
  const server = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(server, exit))
  const http = yield* Layer.buildWithScope(
    NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1", limits }),
    server
  )
  // Behind the server, so that it closes before it.
  const app = yield* Scope.fork(server)
  const context = yield* HttpRouter.serve(Layer.mergeAll(Hub.layer({ path: "/socket", limits }), routes), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(Layer.buildWithScope(app), Effect.provide(http))
  const { address } = Context.get(http, HttpServer.HttpServer)
  const url = NetAddress.formatUrlUnsafe(address)
  return {
    hub: Context.get(context, Hub),
    url,
    socket: `${url.replace("http", "ws")}/socket`,
    close: Scope.close(server, Exit.void),
    closeApp: Scope.close(app, Exit.void)
  }
})

/** Connections that are kept alive, and closed with the test. */
const keepingAlive = Effect.acquireRelease(
  Effect.sync(() => new Http.Agent({ keepAlive: true, maxSockets: 1 })),
  (agent) => Effect.sync(() => agent.destroy())
)

const request = (url: string, options: Http.RequestOptions = {}): Effect.Effect<Http.IncomingMessage, Error> =>
  Effect.callback((resume) => {
    const sent = Http.request(url, { agent: false, ...options })
    sent.on("response", (response) => resume(Effect.succeed(response)))
    sent.on("error", (error) => resume(Effect.fail(error)))
    sent.end()
    return Effect.sync(() => sent.destroy())
  })

const bodyOf = (response: Http.IncomingMessage) =>
  Stream.fromAsyncIterable(response as AsyncIterable<Uint8Array>, (cause) => cause)

const text = (response: Http.IncomingMessage) =>
  Effect.map(Stream.runCollect(bodyOf(response)), (chunks) => Buffer.concat(chunks).toString())

const post = { method: "POST" }

describe("HTTP server that shuts down", () => {
  it.live("an HTTP server that shuts down lets a handler finish and sends its response", () =>
    Effect.gen(function*() {
      const { finish, handler, routes, started } = yield* slow()
      const { close, url } = yield* listen(routes)
      const call = yield* start(request(`${url}/slow`, post))
      yield* started
      const closing = yield* start(close)
      yield* finish
      const response = yield* Fiber.join(call)
      assert.strictEqual(response.statusCode, 200)
      assert.strictEqual(yield* text(response), "at last")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 0 })
    }))

  it.live("an HTTP server that shuts down sends bodies that have begun to their end", () =>
    Effect.gen(function*() {
      const { close, url } = yield* listen(
        HttpRouter.add("GET", "/large", HttpServerResponse.stream(bytesOf(1, 8 * MiB)))
      )
      const response = yield* request(`${url}/large`)
      const closing = yield* start(close)
      assert.strictEqual(response.statusCode, 200)
      assert.strictEqual(yield* sha256(bodyOf(response)), hashOf(1, 8 * MiB))
      yield* Fiber.join(closing)
    }))

  it.live("an HTTP server that shuts down lets its handlers call connected clients", () =>
    Effect.gen(function*() {
      const called = yield* Deferred.make<Connection.Connection>()
      const { finish, routes, started } = yield* slow(
        Deferred.await(called).pipe(
          Effect.flatMap((device) => ApiClient.make(device).get("/temperature")),
          Effect.flatMap(({ text }) => Effect.map(text, (celsius) => HttpServerResponse.text(celsius)))
        )
      )
      const { close, hub, socket, url } = yield* listen(routes)
      const { client } = yield* dial({ url: socket })
      yield* serveRoutes(yield* client.connection, HttpRouter.add("GET", "/temperature", HttpServerResponse.text("21")))
      yield* Deferred.succeed(called, yield* hub.awaitConnection())
      const call = yield* start(request(`${url}/slow`, post))
      yield* started
      const closing = yield* start(close)
      yield* finish
      const response = yield* Fiber.join(call)
      assert.strictEqual(response.statusCode, 200)
      assert.strictEqual(yield* text(response), "21")
      yield* Fiber.join(closing)
    }))

  it.live("an HTTP server that shuts down answers new requests 503", () =>
    Effect.gen(function*() {
      const { finish, routes, started } = yield* slow()
      const { close, socket, url } = yield* listen(routes)
      const agent = yield* keepingAlive
      assert.strictEqual(yield* text(yield* request(`${url}/none`, { agent })), "")
      const call = yield* start(request(`${url}/slow`, post))
      yield* started
      const closing = yield* start(close)
      for (const options of [{}, { agent }]) {
        const response = yield* request(`${url}/none`, options)
        assert.deepStrictEqual([response.statusCode, response.headers["retry-after"]], [503, "1"])
        yield* text(response)
      }
      assert.include(String(yield* Effect.flip(dialRaw(socket))), "503")
      yield* finish
      assert.strictEqual((yield* Fiber.join(call)).statusCode, 200)
      yield* Fiber.join(closing)
    }))

  it.live("an HTTP server that shuts down drains its WebSockets though a body has no end", () =>
    Effect.gen(function*() {
      const { close, socket, url } = yield* listen(
        HttpRouter.add("GET", "/events", HttpServerResponse.stream(Stream.concat(bytesOf(1, 10), Stream.never)))
      )
      const { client } = yield* dial({ url: socket })
      const connection = yield* client.connection
      const events = yield* request(`${url}/events`)
      const closing = yield* start(close)
      const end = yield* connection.closed
      assert.deepStrictEqual(end._tag === "Closed" && end.code, 1001)
      assert.isUndefined(closing.pollUnsafe())
      events.destroy()
      yield* Fiber.join(closing)
    }))

  it.live("an HTTP server that shuts down waits no longer than drainTimeout", () =>
    Effect.gen(function*() {
      const { handler, routes, started } = yield* slow()
      const { close, url } = yield* listen(routes, { drainTimeout: "100 millis" })
      const call = yield* start(request(`${url}/slow`, post))
      yield* started
      yield* close
      assert.strictEqual((yield* Fiber.join(call)).statusCode, 503)
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 1 })
    }))

  it.live("an HTTP server that shuts down does not wait for requests that were answered or whose caller has gone", () =>
    Effect.gen(function*() {
      const { handler, routes, started } = yield* slow()
      const { close, url } = yield* listen(routes)
      const agent = yield* keepingAlive
      yield* text(yield* request(`${url}/none`, { agent }))
      const call = yield* start(request(`${url}/slow`, post))
      yield* started
      yield* Fiber.interrupt(call)
      yield* close
      assert.deepStrictEqual(handler, { executions: 1, interruptions: 1 })
    }))
})

it.live("an HTTP server whose app has gone answers 503", () =>
  Effect.gen(function*() {
    const { closeApp, url } = yield* listen(Layer.empty)
    yield* closeApp
    const response = yield* request(`${url}/none`)
    assert.deepStrictEqual([response.statusCode, response.headers["retry-after"]], [503, "1"])
  }))

it.live("an HTTP server whose app has gone closes the socket of an upgrade, though its client keeps it open", () =>
  Effect.gen(function*() {
    const { closeApp, url } = yield* listen(Layer.empty)
    yield* closeApp
    const { hostname, port } = new URL(url)
    yield* Effect.callback<void>((resume) => {
      const socket = Net.connect({ host: hostname, port: Number(port), allowHalfOpen: true })
      // What is written to a socket that the server keeps is taken; otherwise it ends the socket of the client as well.
      const write = () => {
        if (!socket.destroyed) socket.write("a", () => setImmediate(write))
      }
      socket.on("error", () => {})
      socket.once("close", () => resume(Effect.void))
      socket.once("end", write)
      socket.resume().write("GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
      return Effect.sync(() => socket.destroy())
    })
  }))

it.live("an app that closes releases its WebSockets although the HTTP server's connections stay open", () =>
  Effect.gen(function*() {
    const { closeApp, hub, socket } = yield* listen(Layer.empty)
    const { client } = yield* dial({ url: socket })
    const near = yield* client.connection
    yield* hub.awaitConnection()
    const left = yield* Deferred.make<void>()
    yield* start(Effect.andThen(until(near, "draining"), Deferred.succeed(left, undefined)))
    yield* closeApp
    yield* Deferred.await(left)
    assert.strictEqual((yield* near.closed)._tag, "Closed")
  }))

it.live("an app that closes waits for no handler that was interrupted before it began, however often other fibers run", () =>
  Effect.gen(function*() {
    let app: Effect.Effect<unknown, unknown, HttpServerRequest.HttpServerRequest | Scope.Scope> | undefined = undefined
    const server = HttpServer.make({
      address: NetAddress.unixPathAddress("nowhere"),
      serve: (served) =>
        Effect.sync(() => {
          app = served
        })
    })
    const scope = yield* Scope.make()
    const { serve } = answering(server, new Responses(Http.createServer()), Duration.infinity)
    yield* Scope.provide(serve(Effect.never), scope)
    const request = HttpServerRequest.fromWeb(new Request("http://localhost/"))
    for (let steps = 2; steps < 40; steps++) {
      for (let turns = 0; turns < 10; turns++) {
        const call = yield* app!.pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.provideService(References.MaxOpsBeforeYield, steps),
          Effect.forkChild
        )
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(call)
      }
    }
    yield* Scope.close(scope, Exit.void)
  }))

/**
 * Servers and clients on real sockets: how they begin and end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/Peers") {}
class Admins extends SwaggerSocketServer.Service<Admins>()("test/Admins") {}

const quiet = { disableLogger: true, disableListenLog: true } as const
const listen = NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" })

const urlOf = Effect.map(HttpServer.HttpServer, ({ address }) => NetAddress.formatUrlUnsafe(address))

const client = (url: string) =>
  Layer.build(Layer.provide(SwaggerSocketClient.layer({ url }), NodeSwaggerSocket.layerWebSocketConstructor))

describe("server on a router", () => {
  it.live("two servers and ordinary routes share a port", () =>
    Effect.gen(function*() {
      const routes = Layer.mergeAll(
        Peers.layer({ path: "/peers" }),
        Admins.layer({ path: "/admin/:room" }),
        HttpRouter.add("GET", "/plain", HttpServerResponse.text("plain"))
      )
      yield* Effect.gen(function*() {
        const url = yield* urlOf
        yield* client(`${url.replace("http", "ws")}/peers`)
        yield* client(`${url.replace("http", "ws")}/admin/blue?x=1`)
        assert.isDefined((yield* (yield* Peers).awaitConnection()).id)
        assert.isDefined((yield* (yield* Admins).awaitConnection()).id)
        assert.strictEqual((yield* (yield* Peers).connections).length, 1)
        const plain = yield* Effect.provide(HttpClient.get(`${url}/plain`), FetchHttpClient.layer)
        assert.strictEqual(yield* plain.text, "plain")
        const refused = yield* Effect.provide(HttpClient.get(`${url}/peers`), FetchHttpClient.layer)
        assert.strictEqual(refused.status, 426)
      }).pipe(Effect.provide(HttpRouter.serve(routes, quiet).pipe(Layer.provideMerge(listen))))
    }))

  it.live("a server without a router has an upgrade handler that is an HTTP app of its own", () =>
    Effect.gen(function*() {
      const peers = yield* Peers
      yield* HttpServer.serveEffect(peers.upgrade)
      yield* client((yield* urlOf).replace("http", "ws"))
      const connection = yield* peers.awaitConnection()
      assert.include(
        ["127.0.0.1", "::ffff:127.0.0.1"],
        connection.remoteAddress._tag === "Some"
          ? connection.remoteAddress.value
          : "none"
      )
    }).pipe(Effect.provide(Layer.merge(Peers.layerNoRoute({}), listen))))

  it.live("a server that closes sends close code 1001 to every client and does not wait for them", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        HttpRouter.serve(Peers.layer({ path: "/" }), quiet).pipe(Layer.provideMerge(listen)),
        scope
      )
      const url = yield* Effect.provideContext(urlOf, context)
      const dialled = yield* client(url.replace("http", "ws"))
      const { connection, events } = yield* Effect.provideContext(
        Effect.service(SwaggerSocketClient.SwaggerSocketClient),
        dialled
      )
      yield* connection
      const end = yield* Effect.forkChild(Stream.runCollect(Stream.take(events, 2)), { startImmediately: true })
      yield* Effect.timeout(Scope.close(scope, Exit.void), "20 seconds")
      const [, closed] = yield* Fiber.join(end)
      assert.deepInclude(closed, { _tag: "ConnectionClosed", initiator: "remote", code: 1001 })
    }))
})

describe("client on sockets", () => {
  it.live("a client evaluates url, metadata and headers anew for each attempt", () => {
    class Tokens extends SwaggerSocketServer.Service<Tokens, string>()("test/Tokens") {}
    let attempt = 0
    const server = Tokens.layer({
      path: "/",
      authenticate: ({ headers, metadata, url }) => Effect.succeed(`${headers.authorization} ${metadata} ${url}`)
    })
    return Effect.gen(function*() {
      const url = (yield* urlOf).replace("http", "ws")
      const tokens = yield* Tokens
      const dialled = yield* Layer.build(Layer.provide(
        SwaggerSocketClient.layer({
          url: Effect.sync(() => `${url}/?n=${++attempt}`),
          headers: Effect.sync(() => ({ authorization: `token-${attempt}` })),
          metadata: Effect.sync(() => `metadata-${attempt}`),
          limits: { resumeWindow: 0 }
        }),
        NodeSwaggerSocket.layerWebSocketConstructor
      ))
      const first = yield* tokens.awaitConnection()
      assert.strictEqual(first.principal, "token-1 metadata-1 /?n=1")
      yield* Effect.provideContext(SwaggerSocketClient.SwaggerSocketClient.use((_) => _.reconnect), dialled)
      const second = yield* tokens.awaitConnection((connection) => connection.id !== first.id)
      assert.strictEqual(second.principal, "token-2 metadata-2 /?n=2")
    }).pipe(Effect.provide(HttpRouter.serve(server, quiet).pipe(Layer.provideMerge(listen))))
  })

  it.live("a client and a server call each other at once on one connection", () =>
    Effect.gen(function*() {
      const route = (text: string) => HttpRouter.serve(HttpRouter.add("GET", "/", HttpServerResponse.text(text)), quiet)
      const dialled = yield* client((yield* urlOf).replace("http", "ws"))
      yield* Layer.build(
        route("client").pipe(Layer.provide(ApiServer.layer), Layer.provide(Layer.succeedContext(dialled)))
      )
      yield* Layer.build(route("server").pipe(Layer.provide(ApiServer.layerServer(Peers))))
      const device = yield* (yield* Peers).awaitConnection()
      const there = ApiClient.make(device)
      const here = yield* Effect.provide(
        Effect.service(HttpClient.HttpClient),
        Layer.provide(ApiClient.layer, Layer.succeedContext(dialled))
      )
      const answers = yield* Effect.all(
        Array.from({ length: 200 }, (_, i) =>
          Effect.flatMap((i % 2 === 0 ? there : here).get("/"), (response) => response.text)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        new Set(answers.filter((_, i) =>
          i % 2 === 0
        )),
        new Set(["client"])
      )
      assert.deepStrictEqual(new Set(answers.filter((_, i) => i % 2 === 1)), new Set(["server"]))
    }).pipe(Effect.provide(HttpRouter.serve(Peers.layer({ path: "/" }), quiet).pipe(Layer.provideMerge(listen)))))
})

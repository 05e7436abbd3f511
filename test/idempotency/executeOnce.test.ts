/**
 * Requests with an idempotency key are executed once, whatever happens to those who make them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Idempotency from "effect-swaggersocket/Idempotency"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import { HttpServerError, ResponseError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistence from "effect/persistence/Persistence"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import * as Net from "node:net"
import { Readable } from "node:stream"
import {
  type App,
  ask,
  assertAnswer,
  connect,
  eventually,
  first,
  fork,
  limits,
  makeCounter,
  pause,
  quiet,
  settle
} from "./keyed.ts"

class Hub extends SwaggerSocketServer.Service<Hub>()("test/idempotency/Hub") {}
class Peers extends SwaggerSocketServer.Service<Peers, unknown>()("test/idempotency/Peers") {}

describe("lost connection", () => {
  it.effect("a lost connection does not interrupt the handler, and the repeated request gets its response", () => {
    const arrived = Deferred.makeUnsafe<void>()
    const go = Deferred.makeUnsafe<void>()
    const counter = makeCounter((count) =>
      Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(go)).pipe(
        Effect.as(HttpServerResponse.text(`request ${count}`))
      )
    )
    return Effect.gen(function*() {
      const client = ApiClient.withIdempotencyKey(yield* HttpClient.HttpClient)
      const call = yield* fork(client.post("/orders"))
      yield* Deferred.await(arrived)
      for (const connection of yield* (yield* Hub).connections) yield* connection.close()
      // The client waits before it dials and repeats, whenever it comes to that.
      yield* fork(Effect.forever(Effect.andThen(TestClock.adjust("1 second"), pause(1))))
      yield* Deferred.succeed(go, undefined)
      const response = yield* Fiber.join(call)
      assert.strictEqual(yield* response.text, "request 1")
      assert.strictEqual(response.headers["idempotency-replayed"], "true")
      assert.strictEqual(counter.count, 1)
    }).pipe(Effect.provide(
      Layer.merge(
        ApiClient.layer.pipe(Layer.provide(ApiClient.layerRetryPolicy({ retryUnknown: ApiClient.isIdempotent }))),
        HttpRouter.serve(Layer.merge(HttpRouter.add("POST", "/orders", counter.app), Idempotency.layerGlobal), quiet)
          .pipe(Layer.provide(ApiServer.layerServer(Hub)), Layer.provide(Idempotency.layer()))
      ).pipe(Layer.provideMerge(SwaggerSocketTest.layer(Hub, { limits, serverLimits: limits })))
    ))
  })

  it.effect("a response is kept when its connection is lost and nobody waits for it", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const released: Array<string> = []
      const counter = makeCounter((count) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => released.push("handler")))
          yield* HttpEffect.appendPreResponseHandler((_, response) =>
            Effect.succeed(HttpServerResponse.setHeader(response, "x-hook", "ran"))
          )
          yield* Deferred.await(go)
          released.push("done")
          return HttpServerResponse.text(`request ${count}`)
        })
      )
      const middleware = yield* Idempotency.make()
      const one = yield* connect(middleware(counter.app))
      const call = yield* fork(Effect.flip(ask(one.api, "k")))
      yield* eventually(() => counter.count === 1)
      yield* one.close
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      yield* settle
      // Its scope is not that of the request that has ended.
      assert.deepStrictEqual(released, [])
      yield* Deferred.succeed(go, undefined)
      const two = yield* connect(middleware(counter.app))
      const answer = yield* ask(two.api, "k")
      assertAnswer(answer, { ...first, replayed: true })
      assert.strictEqual(answer.headers["x-hook"], "ran")
      assert.deepStrictEqual(released, ["done", "handler"])
    }))

  it.live("a response whose TCP connection was destroyed is available on another connection and over plain HTTP", () => {
    const arrived = Deferred.makeUnsafe<void>()
    const go = Deferred.makeUnsafe<void>()
    const counter = makeCounter((count) =>
      Effect.andThen(Deferred.succeed(arrived, undefined), Deferred.await(go)).pipe(
        Effect.andThen(Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.text)),
        Effect.map((text) => HttpServerResponse.text(`request ${count}: ${text}`))
      )
    )
    const routes = HttpRouter.add("POST", "/orders", counter.app).pipe(Layer.provide(Idempotency.middleware.layer))
    const scope = () => Effect.succeed("all")
    return Effect.gen(function*() {
      const url = NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address)
      const sockets = new Set<Net.Socket>()
      const proxied = yield* proxy(Number(new URL(url).port), sockets)
      const client = yield* Layer.build(ApiClient.layer.pipe(
        Layer.provide(ApiClient.layerRetryPolicy({ retryUnknown: ApiClient.isIdempotent })),
        Layer.provide(SwaggerSocketClient.layer({ url: `ws://127.0.0.1:${proxied}/socket`, limits })),
        Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
      ))
      const api = Context.get(client, HttpClient.HttpClient)
      const order = { body: HttpBody.text("two of them") }
      const call = yield* fork(ask(api, "k", order))
      yield* Deferred.await(arrived)
      assert.isAbove(sockets.size, 0)
      for (const socket of sockets) socket.destroy()
      // Repeated while the first is at work.
      yield* Effect.sleep("200 millis")
      yield* Deferred.succeed(go, undefined)
      assertAnswer(yield* Fiber.join(call), { status: 200, text: "request 1: two of them", replayed: true })
      const plain = yield* Effect.provide(Effect.service(HttpClient.HttpClient), FetchHttpClient.layer)
      const again = yield* ask(HttpClient.mapRequest(plain, HttpClientRequest.prependUrl(url)), "k", order)
      assertAnswer(again, { status: 200, text: "request 1: two of them", replayed: true })
      assert.strictEqual(counter.count, 1)
    }).pipe(Effect.provide(
      HttpRouter.serve(routes, quiet).pipe(
        Layer.provide(ApiServer.layerServer(Hub)),
        Layer.provideMerge(HttpRouter.serve(Layer.merge(routes, Hub.layer({ path: "/socket", limits })), quiet)),
        Layer.provide(Idempotency.layer({ scope })),
        Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
      )
    ))
  })
})

/** Forwards TCP; gives its own port. */
const proxy = (port: number, sockets: Set<Net.Socket>): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((near) => {
          const far = Net.connect(port, "127.0.0.1")
          for (const [from, to] of [[near, far], [far, near]] as const) {
            sockets.add(from)
            from.on("close", () => {
              sockets.delete(from)
              to.destroy()
            })
            from.on("error", () => {})
            from.pipe(to)
          }
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    ),
    (server) => (server.address() as Net.AddressInfo).port
  )

describe("idempotency key", () => {
  it.effect("a key that comes again gets the first response, with its status, fields and cookies", () =>
    Effect.gen(function*() {
      const counter = makeCounter((count) =>
        Effect.succeed(
          HttpServerResponse.text(`request ${count}`, { status: 201, headers: { "x-order": `${count}` } }).pipe(
            HttpServerResponse.setCookieUnsafe("seen", "yes", { path: "/" })
          )
        )
      )
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      const one = yield* ask(api, "k")
      assertAnswer(one, { status: 201, text: "request 1" })
      const two = yield* ask(api, "k")
      assertAnswer(two, { status: 201, text: "request 1", replayed: true })
      const { "idempotency-replayed": _, ...headers } = two.headers
      assert.deepStrictEqual({ ...headers }, { ...one.headers })
      assert.deepStrictEqual(two.cookies.toJSON(), one.cookies.toJSON())
      assertAnswer(yield* ask(api, "other"), { status: 201, text: "request 2" })
    }))

  it.effect("a key has no effect with a safe method, nor does a request without a key", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      yield* ask(api, "k", { method: "GET" })
      assertAnswer(yield* ask(api, "k", { method: "GET" }), { status: 200, text: "request 2" })
      yield* api.post("/orders")
      yield* api.post("/orders")
      assert.strictEqual(counter.count, 4)
    }))

  it.effect("a key belongs to one request: a different request with the same key is refused with 422", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      const body = HttpBody.text("a")
      yield* ask(api, "k", { body })
      assertAnswer(yield* ask(api, "k", { body }), { ...first, replayed: true })
      const others = [
        { body: HttpBody.text("b") },
        { body: HttpBody.text("aa") },
        { body: HttpBody.text("a", "text/html") },
        { body, url: "/orders?b" },
        { body, method: "PATCH" as const },
        {}
      ]
      for (const other of others) {
        const answer = yield* ask(api, "k", other)
        assertAnswer(answer, { status: 422 })
        assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      }
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("a key may be quoted; a malformed or too long key is refused with 400", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      yield* ask(api, "8e03978e-40d5-43e8-bc93-6894a57f9324")
      assertAnswer(yield* ask(api, "\"8e03978e-40d5-43e8-bc93-6894a57f9324\""), { ...first, replayed: true })
      for (const key of ["", "\"\"", "a b", "a,b", "\"a", "a\"", "\"a\"b\"", "\"a\\b\"", "x".repeat(256), "é"]) {
        assertAnswer(yield* ask(api, key), { status: 400 })
      }
      assert.strictEqual(counter.count, 1)
      assertAnswer(yield* ask(api, "x".repeat(255)), { status: 200, text: "request 2" })
    }))

  it.effect("a key with a request for an upgrade is refused with 400, and withIdempotencyKey adds none", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      const upgrade = HttpClientRequest.post("/orders").pipe(HttpClientRequest.upgrade("shell"))
      const keyed = HttpClientRequest.setHeader(upgrade, "idempotency-key", "k")
      assert.strictEqual((yield* api.execute(keyed)).status, 400)
      assert.strictEqual(counter.count, 0)
      assert.strictEqual((yield* ApiClient.withIdempotencyKey(api).execute(upgrade)).status, 200)
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("a key matches a form that was encoded again, and not another form", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      const form = (boundary: string, value: string) => ({
        body: HttpBody.text(
          `--${boundary}\r\ncontent-disposition: form-data; name="a"\r\n\r\n${value}\r\n--${boundary}--\r\n`,
          `multipart/form-data; boundary=${boundary}`
        )
      })
      yield* ask(api, "k", form("-----1", "a"))
      assertAnswer(yield* ask(api, "k", form("-----2", "a")), { ...first, replayed: true })
      assertAnswer(yield* ask(api, "k", form("-----1", "b")), { status: 422 })
    }))
})

describe("scopes of keys", () => {
  it.effect("callers with different credentials have separate keys", () =>
    Effect.gen(function*() {
      const counter = makeCounter()
      const middleware = yield* Idempotency.make()
      const answers: Array<string> = []
      const callers: ReadonlyArray<Record<string, string>> = [
        {},
        { authorization: "Bearer a" },
        { authorization: "Bearer b" },
        { cookie: "s=1" },
        { cookie: "s=2" }
      ]
      for (const headers of [...callers, ...callers]) {
        const { api } = yield* connect(middleware(counter.app), headers)
        answers.push((yield* ask(api, "k")).text)
      }
      assert.deepStrictEqual(answers.slice(0, 5), [1, 2, 3, 4, 5].map((count) => `request ${count}`))
      assert.deepStrictEqual(answers.slice(5), answers.slice(0, 5))
    }))

  /** The answers to clients that authenticate as `principals`, all with one key. */
  const asked = (principals: ReadonlyArray<unknown>, options?: Idempotency.Options) => {
    const counter = makeCounter()
    const left = [...principals]
    return Effect.gen(function*() {
      const answers: Array<string> = []
      for (const _ of principals) {
        const client = yield* Layer.build(
          ApiClient.layer.pipe(Layer.provide(SwaggerSocketTest.layerClient(Peers, { limits })))
        )
        answers.push((yield* ask(Context.get(client, HttpClient.HttpClient), "k")).text)
      }
      return answers
    }).pipe(
      Effect.scoped,
      Effect.provide(
        HttpRouter.serve(
          HttpRouter.add("POST", "/orders", counter.app).pipe(Layer.provide(Idempotency.middleware.layer)),
          quiet
        )
          .pipe(
            Layer.provide(ApiServer.layerServer(Peers)),
            Layer.provide(Idempotency.layer(options)),
            Layer.provideMerge(Peers.layerNoRoute({ limits, authenticate: () => Effect.sync(() => left.shift()) }))
          )
      )
    )
  }

  class User {
    readonly id: string
    readonly token = Symbol("changes")
    constructor(id: string) {
      this.id = id
    }
    [PrimaryKey.symbol]() {
      return this.id
    }
  }

  it.effect("keys on connections belong to the principal", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* asked(["ada", "bob", "ada"]), ["request 1", "request 2", "request 1"])
      assert.deepStrictEqual(
        yield* asked([new User("1"), new User("2"), new User("1")]),
        ["request 1", "request 2", "request 1"]
      )
    }))

  it.effect("a principal without a primary key is refused unless a scope is given", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* asked([{ name: "ada" }]), [""])
      assert.deepStrictEqual(
        yield* asked([{ name: "ada" }, { name: "bob" }], { scope: () => Effect.succeed("one") }),
        ["request 1", "request 1"]
      )
    }))
})

describe("simultaneous requests", () => {
  const atOnce = (middleware: Idempotency.Middleware) =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter((count) => Effect.as(Deferred.await(go), HttpServerResponse.text(`request ${count}`)))
      const ends = yield* Effect.forEach([1, 2], () => connect(middleware(counter.app)))
      const calls = yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => i), (i) =>
        fork(ask(ends[i % 2]!.api, "k")))
      yield* eventually(() =>
        counter.count === 1
      )
      yield* settle
      const other = yield* ask(ends[0]!.api, "k", { url: "/other" })
      assertAnswer(other, { status: 422 })
      yield* Deferred.succeed(go, undefined)
      const answers = yield* Effect.forEach(calls, Fiber.join)
      assert.isTrue(answers.every(({ text }) => text === "request 1"))
      assert.strictEqual(answers.filter(({ replayed }) => replayed === "true").length, 19)
      assert.strictEqual(counter.count, 1)
    })

  it.effect("20 requests with one key are executed once", () => Effect.flatMap(Idempotency.make(), atOnce))

  it.effect("a repeated request waits for the first one when the store is slow", () =>
    Effect.flatMap(Idempotency.Idempotency, atOnce).pipe(
      Effect.provide(Idempotency.layerPersisted().pipe(Layer.provide(layerStore(new Map()).layer)))
    ))

  it.effect("an interrupted repetition does not disturb the others", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter((count) => Effect.as(Deferred.await(go), HttpServerResponse.text(`request ${count}`)))
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      const original = yield* fork(ask(api, "k"))
      yield* eventually(() => counter.count === 1)
      const repetitions = yield* Effect.forEach([1, 2], () => fork(ask(api, "k")))
      yield* settle
      yield* Fiber.interrupt(original)
      yield* Fiber.interrupt(repetitions[0]!)
      yield* Deferred.succeed(go, undefined)
      assertAnswer(yield* Fiber.join(repetitions[1]!), { ...first, replayed: true })
    }))
})

describe("kept outcomes", () => {
  it.effect("failures and defects are kept, because a failed handler may have done its work", () =>
    Effect.gen(function*() {
      for (const failing of [Effect.fail("no"), Effect.die(new Error("no"))]) {
        const counter = makeCounter(() => failing)
        const middleware = yield* Idempotency.make()
        const { api } = yield* connect(middleware(counter.app))
        assertAnswer(yield* ask(api, "k"), { status: 500 })
        assertAnswer(yield* ask(api, "k"), { status: 500, replayed: true })
        assert.strictEqual(counter.count, 1)
      }
    }))

  it.effect("the first request fails with the handler's own error for surrounding middleware", () =>
    Effect.gen(function*() {
      const failures: Array<unknown> = []
      const middleware = yield* Idempotency.make()
      const app = Effect.onError(middleware(Effect.fail("no")), (cause) =>
        Effect.sync(() => {
          failures.push(...cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error : reason._tag))
        }))
      const { api } = yield* connect(app)
      assertAnswer(yield* ask(api, "k"), { status: 500 })
      assert.deepStrictEqual(failures, ["no", "Die"])
    }))

  it.effect("the server alone sends the response: a hook around the middleware that fails makes it a 500", () =>
    Effect.gen(function*() {
      const middleware = yield* Idempotency.make()
      const app = Effect.tap(
        middleware(makeCounter().app),
        HttpEffect.appendPreResponseHandler((request, response) =>
          Effect.fail(new HttpServerError({ reason: new ResponseError({ request, response }) }))
        )
      )
      const { client, server } = yield* SwaggerSocketTest.makePair({ limits, serverLimits: limits })
      yield* Layer.build(
        HttpServer.serve(app, (app) => app).pipe(Layer.provide(ApiServer.layerConnection(server)))
      )
      assertAnswer(yield* ask(ApiClient.make(client), "k"), { status: 500 })
    }))

  it.effect("a request is traced once", () =>
    Effect.gen(function*() {
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          // Handshakes have spans of their own.
          if (!options.name.startsWith("swaggersocket.")) spans.push(options.kind)
          return new Tracer.NativeSpan(options)
        }
      })
      const middleware = yield* Idempotency.make()
      const { api } = yield* Effect.withTracer(connect(middleware(makeCounter().app)), tracer)
      // The handshake has spans of its own.
      spans.length = 0
      yield* ask(api, "k")
      assert.deepStrictEqual(spans, ["server"])
    }))

  it.effect("statuses that say that nothing was done are not kept", () =>
    Effect.gen(function*() {
      for (const status of [401, 429]) {
        const counter = makeCounter((count) =>
          Effect.succeed(HttpServerResponse.empty({ status: count === 1 ? status : 200 }))
        )
        const middleware = yield* Idempotency.make()
        const { api } = yield* connect(middleware(counter.app))
        assertAnswer(yield* ask(api, "k"), { status })
        assertAnswer(yield* ask(api, "k"), { status: 200 })
        assertAnswer(yield* ask(api, "k"), { status: 200, replayed: true })
      }
    }))

  it.effect("an interrupted handler is not executed again, because nobody knows what it has done", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => Effect.interrupt)
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      assertAnswer(yield* ask(api, "k"), { status: 503 })
      const again = yield* ask(api, "k")
      assertAnswer(again, { status: 409 })
      assert.include(again.text, "unknown")
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("handlers end with the scope of the middleware", () =>
    Effect.gen(function*() {
      const arrived = Deferred.makeUnsafe<void>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Idempotency.layer(), scope)
      const { client, server } = yield* SwaggerSocketTest.makePair({ limits, serverLimits: limits })
      yield* Layer.build(
        HttpRouter.serve(
          HttpRouter.add("POST", "/orders", Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never)).pipe(
            Layer.provide(Idempotency.middleware.layer)
          ),
          quiet
        ).pipe(Layer.provide(ApiServer.layerConnection(server)), Layer.provide(Layer.succeedContext(context)))
      )
      const call = yield* fork(ask(ApiClient.make(client), "k"))
      yield* Deferred.await(arrived)
      yield* Scope.close(scope, Exit.void)
      assertAnswer(yield* Fiber.join(call), { status: 503 })
      assertAnswer(yield* ask(ApiClient.make(client), "other"), { status: 503 })
    }))

  it.effect("a response is kept for 24 hours from the end of its request", () =>
    Effect.gen(function*() {
      const counter = makeCounter((count) =>
        Effect.delay(Effect.succeed(HttpServerResponse.text(`request ${count}`)), "1 hour")
      )
      const middleware = yield* Idempotency.make()
      const app = middleware(counter.app)
      const one = yield* connect(app)
      const call = yield* fork(ask(one.api, "k"))
      yield* eventually(() => counter.count === 1)
      yield* TestClock.adjust("1 hour")
      assertAnswer(yield* Fiber.join(call), first)
      yield* TestClock.adjust("1439 minutes")
      assertAnswer(yield* ask(one.api, "k"), { ...first, replayed: true })
      yield* TestClock.adjust("1 minute")
      const again = yield* fork(ask(one.api, "k"))
      yield* eventually(() => counter.count === 2)
      yield* TestClock.adjust("1 hour")
      assertAnswer(yield* Fiber.join(again), { status: 200, text: "request 2" })
    }))
})

describe("capacity", () => {
  it.effect("the oldest response is forgotten first, and never a request in progress", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter((count) =>
        Effect.as(count === 1 ? Deferred.await(go) : Effect.void, HttpServerResponse.text(`request ${count}`))
      )
      const middleware = yield* Idempotency.make({ quotas: { server: { idempotencyKeys: 3 } } })
      const { api } = yield* connect(middleware(counter.app))
      const slow = yield* fork(ask(api, "slow"))
      yield* eventually(() => counter.count === 1)
      for (const key of ["a", "b", "c"]) yield* ask(api, key)
      assertAnswer(yield* ask(api, "c"), { status: 200, text: "request 4", replayed: true })
      assertAnswer(yield* ask(api, "b"), { status: 200, text: "request 3", replayed: true })
      assertAnswer(yield* ask(api, "a"), { status: 200, text: "request 5" })
      const again = yield* fork(ask(api, "slow"))
      yield* settle
      yield* Deferred.succeed(go, undefined)
      assertAnswer(yield* Fiber.join(slow), first)
      assertAnswer(yield* Fiber.join(again), { ...first, replayed: true })
    }))

  it.effect("requests are refused before they begin when all the capacity is in progress", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter((count) => Effect.as(Deferred.await(go), HttpServerResponse.text(`request ${count}`)))
      const middleware = yield* Idempotency.make({
        quotas: { server: { idempotencyKeys: 2 } },
        principalOf: ({ headers }) => Effect.succeed(headers["idempotency-key"])
      })
      const { api } = yield* connect(middleware(counter.app))
      const calls = yield* Effect.forEach(["a", "b"], (key) => fork(ask(api, key)))
      yield* eventually(() => counter.count === 2)
      const refused = yield* ask(api, "c")
      assertAnswer(refused, { status: 503 })
      assert.strictEqual(refused.headers["retry-after"], "1")
      assert.strictEqual(counter.count, 2)
      yield* Deferred.succeed(go, undefined)
      yield* Effect.forEach(calls, Fiber.join)
      assertAnswer(yield* ask(api, "c"), { status: 200, text: "request 3" })
    }))
})

const bytes = (size: number) => new Uint8Array(size).fill(97)

describe("response bodies", () => {
  it.effect("responses too long to be kept are passed on, and their request is not executed again", () =>
    Effect.gen(function*() {
      const responses = [
        HttpServerResponse.uint8Array(bytes(1001)),
        HttpServerResponse.stream(Stream.make(bytes(500), bytes(500), bytes(1))),
        HttpServerResponse.raw(new Response("a".repeat(1001)))
      ]
      for (const response of responses) {
        const counter = makeCounter(() => Effect.succeed(response))
        const middleware = yield* Idempotency.make({ maxAnswerSize: 1000 })
        const { api } = yield* connect(middleware(counter.app))
        assertAnswer(yield* ask(api, "k"), { status: 200, text: "a".repeat(1001) })
        const again = yield* ask(api, "k")
        assertAnswer(again, { status: 409 })
        assert.include(again.text, "not kept")
        assert.strictEqual(counter.count, 1)
      }
    }))

  it.effect("streamed responses are kept up to the limit, and flow to the caller meanwhile", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter(() =>
        Effect.succeed(HttpServerResponse.stream(
          Stream.concat(Stream.make(bytes(500)), Stream.fromEffect(Effect.as(Deferred.await(go), bytes(500)))),
          { contentType: "text/plain" }
        ))
      )
      const middleware = yield* Idempotency.make({ maxAnswerSize: 1000 })
      const { api } = yield* connect(middleware(counter.app))
      const response = yield* api.post("/orders", { headers: { "idempotency-key": "k" } })
      const sizes: Array<number> = []
      yield* Stream.runForEach(response.stream, (chunk) => {
        sizes.push(chunk.length)
        return Deferred.succeed(go, undefined)
      })
      assert.deepStrictEqual(sizes, [500, 500])
      const again = yield* ask(api, "k")
      assertAnswer(again, { status: 200, text: "a".repeat(1000), replayed: true })
      assert.strictEqual(again.headers["content-type"], "text/plain")
    }))

  it.effect("streamed responses are read to the end after their reader has left", () =>
    Effect.gen(function*() {
      const go = Deferred.makeUnsafe<void>()
      const counter = makeCounter(() =>
        Effect.succeed(HttpServerResponse.stream(
          Stream.concat(Stream.make(bytes(500)), Stream.fromEffect(Effect.as(Deferred.await(go), bytes(500))))
        ))
      )
      const middleware = yield* Idempotency.make({ maxAnswerSize: 1000 })
      const one = yield* connect(middleware(counter.app))
      yield* one.api.post("/orders", { headers: { "idempotency-key": "k" } })
      yield* one.close
      yield* Deferred.succeed(go, undefined)
      const two = yield* connect(middleware(counter.app))
      assertAnswer(yield* ask(two.api, "k"), { status: 200, text: "a".repeat(1000), replayed: true })
    }))

  it.effect("streamed responses that never end are interrupted when their reader leaves", () =>
    Effect.gen(function*() {
      let ended = false
      const counter = makeCounter(() =>
        Effect.succeed(HttpServerResponse.stream(
          Stream.ensuring(
            Stream.forever(Stream.make(bytes(100))),
            Effect.sync(() => {
              ended = true
            })
          )
        ))
      )
      const middleware = yield* Idempotency.make({ maxAnswerSize: 1000 })
      const one = yield* connect(middleware(counter.app))
      yield* one.api.post("/orders", { headers: { "idempotency-key": "k" } })
      yield* settle
      assert.isFalse(ended)
      yield* one.close
      yield* eventually(() => ended)
      const two = yield* connect(middleware(counter.app))
      assertAnswer(yield* ask(two.api, "k"), { status: 409 })
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("streamed responses that break off are not kept", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() =>
        Effect.succeed(HttpServerResponse.stream(Stream.concat(Stream.make(bytes(5)), Stream.fail("torn"))))
      )
      const middleware = yield* Idempotency.make()
      const { api } = yield* connect(middleware(counter.app))
      assert.strictEqual(outcomeOf(yield* Effect.flip(ask(api, "k"))), "unknown")
      assertAnswer(yield* ask(api, "k"), { status: 409 })
    }))
})

describe("request bodies", () => {
  const readers: Record<string, App<unknown>> = {
    text: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.text).pipe(
      Effect.map((text) => HttpServerResponse.text(text))
    ),
    json: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.json).pipe(
      Effect.flatMap((json) => HttpServerResponse.json(json))
    ),
    stream: Effect.map(HttpServerRequest.HttpServerRequest, (request) => HttpServerResponse.stream(request.stream)),
    modified: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.modify({ url: "/x" }).text).pipe(
      Effect.map((text) => HttpServerResponse.text(text))
    ),
    web: HttpEffect.fromWebHandler(async (request) => new Response(await request.text())),
    "web on connections": ApiServer.fromWebHandler(async (request) => new Response(await request.text()))
  }

  const given: Record<string, unknown> = {
    text: "made",
    bytes: new TextEncoder().encode("made"),
    blob: new Blob(["made"]),
    "a stream of the web": new Blob(["made"]).stream(),
    "a stream of Node": Readable.from([Buffer.from("ma"), Buffer.from("de")])
  }

  for (const [kind, body] of Object.entries(given)) {
    it.effect(`an answer that is given as ${kind} is kept`, () =>
      Effect.gen(function*() {
        const { api } = yield* connect((yield* Idempotency.make())(Effect.sync(() => HttpServerResponse.raw(body))))
        assertAnswer(yield* ask(api, "k"), { status: 200, text: "made" })
        assertAnswer(yield* ask(api, "k"), { status: 200, text: "made", replayed: true })
      }))
  }

  it.effect("a web handler's status, fields and cookies are kept with its answer", () =>
    Effect.gen(function*() {
      const handler = ApiServer.fromWebHandler(() =>
        Promise.resolve(
          new Response("made", { status: 201, headers: { "x-order": "7", "set-cookie": "seen=yes; Path=/" } })
        )
      )
      const { api } = yield* connect((yield* Idempotency.make())(handler))
      for (const replayed of [undefined, true] as const) {
        const answer = yield* ask(api, "k")
        assertAnswer(answer, { status: 201, text: "made", ...(replayed && { replayed }) })
        assert.strictEqual(answer.headers["x-order"], "7")
        assert.deepStrictEqual(Object.keys(answer.cookies.cookies), ["seen"])
      }
    }))

  for (const [name, reader] of Object.entries(readers)) {
    it.effect(`a handler reads a request body as ${name}`, () =>
      Effect.gen(function*() {
        const middleware = yield* Idempotency.make()
        const { api } = yield* connect(middleware(reader))
        const body = HttpBody.text("{\"a\":1}")
        assertAnswer(yield* ask(api, "k", { body }), { status: 200, text: "{\"a\":1}" })
        assertAnswer(yield* ask(api, "k", { body }), { status: 200, text: "{\"a\":1}", replayed: true })
        assertAnswer(yield* ask(api, "k", { body: HttpBody.text("{\"a\":2}") }), { status: 422 })
      }))
  }

  it("a WHATWG server's handler reads a request body as text, stream and web", async () => {
    for (const name of ["text", "stream", "web"]) {
      const scope = Effect.runSync(Scope.make())
      const middleware = await Effect.runPromise(Effect.provideService(Idempotency.make(), Scope.Scope, scope))
      const handler = HttpEffect.toWebHandler(middleware(readers[name]!))
      const call = (body: string) =>
        handler(
          new Request("http://localhost/orders", {
            method: "POST",
            body,
            headers: { "idempotency-key": "k", "content-length": `${body.length}` }
          })
        )
      for (const replayed of [null, "true"]) {
        const response = await call("abc")
        assert.strictEqual(await response.text(), "abc", name)
        assert.strictEqual(response.headers.get("idempotency-replayed"), replayed)
      }
      assert.strictEqual((await call("abd")).status, 422)
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })

  it.effect("request bodies too long for memory reach the handler as they come", () =>
    Effect.gen(function*() {
      const middleware = yield* Idempotency.make({ maxRequestSize: 10 })
      const { api } = yield* connect(middleware(readers.text!))
      const body = HttpBody.text("a".repeat(11))
      assertAnswer(yield* ask(api, "k", { body }), { status: 200, text: "a".repeat(11) })
      assertAnswer(yield* ask(api, "k", { body }), { status: 200, text: "a".repeat(11), replayed: true })
      assertAnswer(yield* ask(api, "k", { body: HttpBody.text("b".repeat(11)) }), { status: 422 })
      assertAnswer(yield* ask(api, "k", { body: HttpBody.text("a".repeat(12)) }), { status: 422 })
    }))

  it.effect("a repetition of a request whose body was cut off is answered 409, not with the first one's error", () =>
    Effect.gen(function*() {
      const counter = makeCounter(() => readers.text!)
      const middleware = yield* Idempotency.make()
      const one = yield* connect(middleware(counter.app))
      const body = HttpBody.stream(Stream.concat(Stream.make(bytes(5)), Stream.never))
      const call = yield* fork(Effect.flip(ask(one.api, "k", { body })))
      yield* eventually(() => counter.count === 1)
      yield* one.close
      yield* Fiber.join(call)
      const two = yield* connect(middleware(counter.app))
      const again = yield* ask(two.api, "k", { body: HttpBody.stream(Stream.make(bytes(5))) })
      assertAnswer(again, { status: 409 })
      assert.include(again.text, "not kept")
      assert.strictEqual(counter.count, 1)
    }))
})

/** A store that outlives what is built on it. It takes a turn of the event loop for everything. */
const layerStore = (map: Map<string, string>) => {
  const state = { broken: false }
  const later = <A>(f: () => A) =>
    Effect.flatMap(
      Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
      () =>
        state.broken
          ? Effect.fail(new KeyValueStore.KeyValueStoreError({ method: "any", message: "broken" }))
          : Effect.sync(f)
    )
  const layer = Persistence.layerKvs.pipe(Layer.provide(Layer.succeed(
    KeyValueStore.KeyValueStore,
    KeyValueStore.makeStringOnly({
      get: (key) => later(() => map.get(key)),
      set: (key, value) => later(() => void map.set(key, value)),
      remove: (key) => later(() => void map.delete(key)),
      clear: later(() => map.clear()),
      size: later(() => map.size),
      keys: later(() => [...map.keys()])
    })
  )))
  return { state, layer }
}

describe("persisted store", () => {
  /** What runs before and after a restart, on one store. */
  const makeProcesses = () => {
    const map = new Map<string, string>()
    const { layer, state } = layerStore(map)
    return {
      map,
      state,
      start: Effect.fnUntraced(function*(app: App<unknown>, options?: Idempotency.Options) {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(
          Layer.provide(Layer.fresh(Idempotency.layerPersisted(options)), layer),
          scope
        )
        const ends = yield* connect(Context.get(context, Idempotency.Idempotency)(app))
        return { ...ends, stop: Scope.close(scope, Exit.void) }
      })
    }
  }

  it.effect("a persisted store answers after a restart what was answered before", () =>
    Effect.gen(function*() {
      const processes = makeProcesses()
      const counter = makeCounter((count) =>
        Effect.succeed(HttpServerResponse.uint8Array(new Uint8Array([0, 255, count]), { status: 202 }))
      )
      const one = yield* processes.start(counter.app)
      const answer = yield* ask(one.api, "k")
      assertAnswer(answer, { status: 202 })
      yield* one.stop
      const two = yield* processes.start(counter.app)
      assertAnswer(yield* ask(two.api, "k"), { status: 202, text: answer.text, replayed: true })
      assertAnswer(yield* ask(two.api, "k", { url: "/other" }), { status: 422 })
      assert.strictEqual(counter.count, 1)
      // Neither the key nor who used it can be read there.
      assert.isTrue([...processes.map.keys()].every((key) => /[0-9a-f]{64}$/.test(key)))
    }))

  it.effect("a request that a restart has interrupted is not executed again", () =>
    Effect.gen(function*() {
      const processes = makeProcesses()
      const counter = makeCounter(() => Effect.never)
      const one = yield* processes.start(counter.app)
      const call = yield* fork(ask(one.api, "k"))
      yield* eventually(() => counter.count === 1)
      yield* one.stop
      assertAnswer(yield* Fiber.join(call), { status: 503 })
      const two = yield* processes.start(counter.app)
      for (const _ of [1, 2]) {
        const again = yield* ask(two.api, "k")
        assertAnswer(again, { status: 409 })
        assert.include(again.text, "its outcome is unknown")
      }
      assert.strictEqual(counter.count, 1)
    }))

  it.effect("a persisted store records a request before its handler runs", () =>
    Effect.gen(function*() {
      const processes = makeProcesses()
      const written: Array<number> = []
      const { api } = yield* processes.start(Effect.sync(() => {
        written.push(processes.map.size)
        return HttpServerResponse.text("")
      }))
      yield* ask(api, "k")
      assert.deepStrictEqual(written, [1])
    }))

  it.effect("a persisted store forgets after the time to live, and at once where nothing was done", () =>
    Effect.gen(function*() {
      const processes = makeProcesses()
      const counter = makeCounter((count) =>
        Effect.succeed(HttpServerResponse.text(`request ${count}`, { status: count === 1 ? 401 : 200 }))
      )
      const { api } = yield* processes.start(counter.app, { timeToLive: "1 hour" })
      assertAnswer(yield* ask(api, "k"), { status: 401 })
      yield* eventually(() => processes.map.size === 0)
      assertAnswer(yield* ask(api, "k"), { status: 200, text: "request 2" })
      yield* TestClock.adjust("59 minutes")
      assertAnswer(yield* ask(api, "k"), { status: 200, text: "request 2", replayed: true })
      yield* TestClock.adjust("1 minute")
      assertAnswer(yield* ask(api, "k"), { status: 200, text: "request 3" })
    }))

  it.effect("a store that fails before the handler runs executes nothing; one that fails afterwards keeps the response", () =>
    Effect.gen(function*() {
      const processes = makeProcesses()
      const counter = makeCounter((count) =>
        Effect.sync(() => {
          processes.state.broken = true
          return HttpServerResponse.text(`request ${count}`)
        })
      )
      processes.state.broken = true
      const { api } = yield* processes.start(counter.app)
      const refused = yield* ask(api, "k")
      assertAnswer(refused, { status: 503 })
      assert.strictEqual(refused.headers["retry-after"], "1")
      assert.strictEqual(counter.count, 0)
      processes.state.broken = false
      assertAnswer(yield* ask(api, "k"), first)
      assertAnswer(yield* ask(api, "k"), { ...first, replayed: true })
      assert.strictEqual(counter.count, 1)
    }))
})

/**
 * What becomes of calls whose connection is lost while the peer may be executing them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/repetition/Peers") {}

/** Connections end with their link. */
const limits = { resumeWindow: 0 }

/**
 * A server whose handler is stuck for the first `stuck` requests, which it counts. `key`s are those of all of them.
 */
const makeWorld = (stuck: number) => {
  const arrived = Array.from({ length: stuck }, () => Deferred.makeUnsafe<void>())
  const keys: Array<string | undefined> = []
  const handler = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    keys.push(request.headers["idempotency-key"])
    const next = arrived[keys.length - 1]
    return next === undefined
      ? Effect.succeed(HttpServerResponse.text(`request ${keys.length}`))
      : Effect.andThen(Deferred.succeed(next, undefined), Effect.never)
  })
  const layer = HttpRouter.serve(HttpRouter.add("*", "/*", handler), { disableLogger: true, disableListenLog: true })
    .pipe(
      Layer.provide(ApiServer.layerServer(Peers)),
      Layer.provideMerge(SwaggerSocketTest.layer(Peers, { limits, serverLimits: limits }))
    )
  return {
    keys,
    layer,
    /** Waits for the request with a number, from 0, and takes its connection away. */
    cut: Effect.fnUntraced(function*(number: number) {
      yield* Deferred.await(arrived[number]!)
      for (const connection of yield* (yield* Peers).connections) yield* connection.close()
    })
  }
}

/** Makes a call whose connection is lost `losses` times while its handler is at work. */
const callWith = Effect.fnUntraced(function*(options: {
  readonly repetition?: Parameters<typeof ApiClient.layerRetryPolicy>[0]
  readonly losses?: number
  readonly call: (client: HttpClient.HttpClient) => Effect.Effect<string, unknown>
  readonly reconnection?: Parameters<typeof Reconnection.layer>[0]
}) {
  const { losses = 1 } = options
  const world = makeWorld(losses)
  const result = yield* Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const call = yield* Effect.forkChild(Effect.result(options.call(client)), { startImmediately: true })
    for (let loss = 0; loss < losses; loss++) {
      yield* world.cut(loss)
      yield* TestClock.adjust("1 minute")
      if (call.pollUnsafe() !== undefined) break
    }
    return yield* Fiber.join(call)
  }).pipe(Effect.provide(
    ApiClient.layer.pipe(
      Layer.provide(options.repetition === undefined ? Layer.empty : ApiClient.layerRetryPolicy(options.repetition)),
      Layer.provideMerge(world.layer),
      Layer.provide(Reconnection.layer(options.reconnection ?? {}))
    )
  ))
  return { result, keys: world.keys }
})

const text = Effect.flatMap((response: { readonly text: Effect.Effect<string, unknown> }) => response.text)

const assertUnknown = (called: Effect.Success<ReturnType<typeof callWith>>, requests: number) => {
  assert.strictEqual(called.keys.length, requests)
  assert.isTrue(called.result._tag === "Failure" && outcomeOf(called.result.failure) === "unknown")
}

const assertRepeated = (called: Effect.Success<ReturnType<typeof callWith>>, requests = 2) => {
  assert.strictEqual(called.keys.length, requests)
  assert.isTrue(called.result._tag === "Success" && called.result.success === `request ${requests}`)
}

const idempotent = { retryUnknown: ApiClient.isIdempotent }
const always = { retryUnknown: () => true }

describe("calls that may have been executed", () => {
  it.effect("calls with an unknown outcome are not repeated by default", () =>
    Effect.gen(function*() {
      assertUnknown(yield* callWith({ call: (client) => text(client.get("/")) }), 1)
    }))

  it.effect("calls with an unknown outcome are repeated on the next connection where the policy says so", () =>
    Effect.gen(function*() {
      assertRepeated(yield* callWith({ repetition: idempotent, call: (client) => text(client.get("/")) }))
    }))

  it.effect("a policy is asked about each call with an unknown outcome", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const called = yield* callWith({
        repetition: { retryUnknown: (request) => asked.push(request.method) < 3 },
        losses: 3,
        call: (client) => text(client.post("/"))
      })
      assertUnknown(called, 3)
      assert.deepStrictEqual(asked, ["POST", "POST", "POST"])
    }))

  it.effect("calls with an unknown outcome are repeated as often as the schedule says", () =>
    Effect.gen(function*() {
      const called = yield* callWith({
        repetition: { ...always, schedule: Schedule.recurs(2) },
        losses: 5,
        call: (client) => text(client.get("/"))
      })
      assertUnknown(called, 3)
    }))

  it.effect("calls with an unknown outcome are not repeated when their method is not idempotent and they have no key", () =>
    Effect.gen(function*() {
      assertUnknown(yield* callWith({ repetition: idempotent, call: (client) => text(client.post("/")) }), 1)
    }))

  it.effect("calls with an unknown outcome are repeated with the key that they had", () =>
    Effect.gen(function*() {
      const called = yield* callWith({
        repetition: idempotent,
        call: (client) => text(ApiClient.withIdempotencyKey(client).post("/"))
      })
      assertRepeated(called)
      assert.match(called.keys[0]!, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.strictEqual(called.keys[1], called.keys[0])
    }))

  it.effect("calls with an unknown outcome are never repeated when their body is a stream", () =>
    Effect.gen(function*() {
      const body = Stream.make(new Uint8Array(3))
      const called = yield* callWith({
        repetition: always,
        call: (client) => text(client.execute(HttpClientRequest.put("/").pipe(HttpClientRequest.bodyStream(body))))
      })
      assertUnknown(called, 1)
    }))

  it.effect("repeated calls end with the caller's own timeout", () =>
    Effect.gen(function*() {
      const called = yield* callWith({
        repetition: idempotent,
        reconnection: { schedule: Schedule.spaced("50 seconds") },
        call: (client) => Effect.timeout(text(client.get("/")), "10 seconds")
      })
      assert.strictEqual(called.keys.length, 1)
      assert.isTrue(
        called.result._tag === "Failure" && (called.result.failure as { _tag: string })._tag === "TimeoutError"
      )
    }))

  it.effect("calls keep an unknown outcome when the last attempt was not even sent", () =>
    Effect.gen(function*() {
      const called = yield* callWith({
        repetition: idempotent,
        reconnection: { retry: () => false },
        call: (client) => text(client.get("/"))
      })
      assertUnknown(called, 1)
    }))

  it.effect("a call is not repeated once its response has begun: the response's reader fails", () => {
    let count = 0
    const world = HttpRouter.serve(
      HttpRouter.add(
        "GET",
        "/",
        Effect.sync(() => {
          count++
          return HttpServerResponse.stream(Stream.concat(Stream.make(new Uint8Array(3)), Stream.never))
        })
      ),
      { disableLogger: true, disableListenLog: true }
    ).pipe(
      Layer.provide(ApiServer.layerServer(Peers)),
      Layer.provideMerge(SwaggerSocketTest.layer(Peers, { limits, serverLimits: limits }))
    )
    return Effect.gen(function*() {
      const response = yield* (yield* HttpClient.HttpClient).get("/")
      const reader = yield* Effect.forkChild(Effect.flip(response.text), { startImmediately: true })
      yield* (yield* (yield* SwaggerSocketClient).connection).close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(outcomeOf(yield* Fiber.join(reader)), "unknown")
      assert.strictEqual(count, 1)
    }).pipe(Effect.provide(
      ApiClient.layer.pipe(Layer.provide(ApiClient.layerRetryPolicy(always)), Layer.provideMerge(world))
    ))
  })

  it.effect("calls of a client for one connection are not repeated when that connection is lost", () => {
    const world = makeWorld(1)
    return Effect.gen(function*() {
      const connection = yield* (yield* SwaggerSocketClient).connection
      const client = yield* Effect.provide(
        Effect.service(HttpClient.HttpClient),
        ApiClient.layerConnection(connection).pipe(Layer.provide(ApiClient.layerRetryPolicy(always)))
      )
      const call = yield* Effect.forkChild(Effect.flip(client.get("/")), { startImmediately: true })
      yield* world.cut(0)
      // At once: the clock stands still.
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      assert.strictEqual(world.keys.length, 1)
    }).pipe(Effect.provide(world.layer))
  })
})

describe("isIdempotent", () => {
  it("isIdempotent tells by the method, or by a key", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] as const) {
      assert.isTrue(ApiClient.isIdempotent(HttpClientRequest.make(method)("/")), method)
    }
    for (const method of ["POST", "PATCH"] as const) {
      const request = HttpClientRequest.make(method)("/")
      assert.isFalse(ApiClient.isIdempotent(request), method)
      assert.isTrue(ApiClient.isIdempotent(HttpClientRequest.setHeader(request, "Idempotency-Key", "k")), method)
    }
  })
})

describe("withIdempotencyKey", () => {
  /** The keys of all attempts, of which the first `failures` fail. */
  const attempts = (failures: number, wrap: (client: HttpClient.HttpClient) => HttpClient.HttpClient) =>
    Effect.gen(function*() {
      const keys: Array<string | undefined> = []
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(
        HttpRouter.serve(
          HttpRouter.add("*", "/", (request) =>
            Effect.sync(() =>
              HttpServerResponse.empty({
                status: keys.push(request.headers["idempotency-key"]) > failures ? 200 : 503
              })
            )),
          { disableLogger: true, disableListenLog: true }
        ).pipe(Layer.provide(ApiServer.layerConnection(server)))
      )
      const api = wrap(HttpClient.filterStatusOk(ApiClient.make(client)))
      return { api, keys }
    })

  it.effect("withIdempotencyKey gives each call a key of its own, and leaves alone calls that have or need none", () =>
    Effect.gen(function*() {
      const { api, keys } = yield* attempts(0, ApiClient.withIdempotencyKey)
      yield* api.post("/")
      yield* api.patch("/")
      yield* api.get("/")
      yield* api.post("/", { headers: { "idempotency-key": "mine" } })
      assert.strictEqual(new Set(keys.slice(0, 2)).size, 2)
      assert.isTrue(keys.slice(0, 2).every((key) => key?.length === 36))
      assert.deepStrictEqual(keys.slice(2), [undefined, "mine"])
    }))

  it.effect("withIdempotencyKey gives all repetitions below it the same key", () =>
    Effect.gen(function*() {
      const { api, keys } = yield* attempts(
        2,
        (client) => client.pipe(HttpClient.retry({ times: 2 }), ApiClient.withIdempotencyKey)
      )
      yield* api.post("/")
      assert.strictEqual(keys.length, 3)
      assert.strictEqual(new Set(keys).size, 1)
    }))
})

describe("streamed request body", () => {
  it.effect("a streamed request body is not begun before its request is sent, and goes whole to the next connection", () =>
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const server = yield* Peers
      const connection = yield* server.awaitConnection()
      // Takes the only stream that the server allows, until its connection goes.
      yield* Effect.forkChild(Effect.exit(client.get("/stuck")), { startImmediately: true })
      let begun = 0
      const body = Stream.suspend(() => {
        begun++
        return Stream.make(new TextEncoder().encode("whole"))
      })
      const call = yield* Effect.forkChild(
        Effect.flatMap(client.post("/echo", { body: HttpBody.stream(body) }), (response) => response.text),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      assert.strictEqual(begun, 0)
      yield* connection.close()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "whole")
      assert.strictEqual(begun, 1)
    }).pipe(Effect.provide(
      ApiClient.layer.pipe(
        Layer.provideMerge(
          HttpRouter.serve(
            Layer.merge(
              HttpRouter.add("GET", "/stuck", Effect.never),
              HttpRouter.add(
                "POST",
                "/echo",
                Effect.flatMap(
                  HttpServerRequest.HttpServerRequest,
                  (request) => Effect.map(request.text, HttpServerResponse.text)
                )
              )
            ),
            { disableLogger: true, disableListenLog: true }
          ).pipe(
            Layer.provide(ApiServer.layerServer(Peers)),
            Layer.provideMerge(
              SwaggerSocketTest.layer(Peers, { limits, serverLimits: { ...limits, maxConcurrentStreams: 1 } })
            )
          )
        )
      )
    )))
})

/**
 * Limits are given in one place, and mistakes in them are told at once.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Limits from "effect-swaggersocket/Limits"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"

class Devices extends SwaggerSocketServer.Service<Devices>()("test/limits/Devices") {}

type Client = SwaggerSocketClient.SwaggerSocketClient["Service"]
class One extends Context.Service<One, Client>()("test/limits/One") {}
class Two extends Context.Service<Two, Client>()("test/limits/Two") {}

const quiet = { disableLogger: true, disableListenLog: true } as const

/** Answers how long the cookie was. */
const Api = () =>
  HttpRouter.serve(
    HttpRouter.add(
      "GET",
      "/cookie",
      Effect.map(
        HttpServerRequest.HttpServerRequest,
        ({ headers }) => HttpServerResponse.text(`${headers.cookie?.length}`)
      )
    ),
    quiet
  )

const Hub = (options: { readonly limits?: Limits.Options } = {}) =>
  Api().pipe(
    Layer.provide(ApiServer.layerServer(Devices)),
    Layer.provideMerge(HttpRouter.serve(Devices.layer({ path: "/", ...options }), quiet)),
    Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
  )

/** A client of the hub in context, which serves the API as well. */
const Device = (options: { readonly limits?: Limits.Options } = {}) =>
  Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
    Api().pipe(
      Layer.provide(ApiServer.layer),
      Layer.provideMerge(
        SwaggerSocketClient.layer({ url: NetAddress.formatUrlUnsafe(address).replace("http", "ws"), ...options })
      ),
      Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
    )))

const callWithCookie = (connection: Connection.Connection, size: number) =>
  ApiClient.make(connection).get("/cookie", { headers: { cookie: "c".repeat(size) } }).pipe(
    Effect.flatMap((response) => response.text),
    Effect.catchTag(
      "HttpClientError",
      ({ reason }) =>
        Effect.succeed("cause" in reason && isSwaggerSocketError(reason.cause) ? reason.cause.reason._tag : reason._tag)
    )
  )

const large = { maxHeadSize: 100_000, maxFrameSize: 200_000, maxMessageSize: 200_000 }

describe("shared limits", () => {
  it.live("limits in one place are those of the server, of the client and of their WebSockets", () =>
    Effect.gen(function*() {
      const device = yield* SwaggerSocketClient.SwaggerSocketClient
      const near = yield* device.connection
      const far = yield* (yield* Devices).awaitConnection(({ id }) => id === near.id)
      assert.strictEqual(yield* callWithCookie(near, 80_000), "80000")
      assert.strictEqual(yield* callWithCookie(far, 80_000), "80000")
    }).pipe(Effect.provide(Device().pipe(Layer.provideMerge(Hub()), Layer.provide(Limits.layer(large))))))

  it.live("limits given as an option of a client take precedence over shared ones", () =>
    Effect.gen(function*() {
      const device = yield* SwaggerSocketClient.SwaggerSocketClient
      const near = yield* device.connection
      const far = yield* (yield* Devices).awaitConnection(({ id }) => id === near.id)
      assert.strictEqual(yield* callWithCookie(near, 80_000), "80000")
      // Refused before it is sent.
      assert.strictEqual(yield* callWithCookie(far, 80_000), "StreamReset")
      assert.strictEqual(yield* callWithCookie(far, 15_000), "15000")
    }).pipe(Effect.provide(
      Device({ limits: { maxHeadSize: 16_384, maxFrameSize: undefined } }).pipe(
        Layer.provideMerge(Hub()),
        Layer.provide(Limits.layer(large))
      )
    )))

  it.live("limits may differ between two clients of one program", () =>
    Effect.gen(function*() {
      const hub = yield* Layer.build(Hub().pipe(Layer.provide(Limits.layer(large))))
      const device = <I>(key: Context.Key<I, Client>, limits: Limits.Options) =>
        Layer.effect(key, SwaggerSocketClient.SwaggerSocketClient).pipe(
          Layer.provide(Device()),
          Layer.provide(Limits.layer(limits))
        )
      const clients = yield* Layer.build(
        Layer.merge(device(One, {}), device(Two, large)).pipe(Layer.provide(Layer.succeedContext(hub)))
      )
      const sizes: Array<string> = []
      for (const client of [Context.get(clients, One), Context.get(clients, Two)]) {
        const near = yield* client.connection
        const far = yield* Context.get(hub, Devices).awaitConnection(({ id }) => id === near.id)
        sizes.push(yield* callWithCookie(far, 80_000))
      }
      assert.deepStrictEqual(sizes, ["StreamReset", "80000"])
    }))

  it.effect("limits in one place are those of connections in memory, too", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(Layer.provide(Api(), ApiServer.layerConnection(server)))
      assert.strictEqual(yield* callWithCookie(client, 80_000), "80000")
    }).pipe(Effect.provide(Limits.layer(large))))
})

describe("contradictory limits", () => {
  const mistakes: ReadonlyArray<readonly [options: Limits.Options, named: ReadonlyArray<string>]> = [
    [{ maxHeadSize: 100_000 }, ["maxHeadSize (100000)", "maxFrameSize (32768)", "raise maxFrameSize"]],
    [{ maxFrameSize: 100_000 }, ["maxFrameSize (100000)", "maxMessageSize (65536)", "raise maxMessageSize"]],
    [{ maxHeadSize: 100_000, maxFrameSize: 100_000 }, ["maxFrameSize (100000)", "maxMessageSize (65536)"]],
    [{ maxMessageSize: 32_768, maxFrameSize: 32_769 }, ["maxFrameSize (32769)", "maxMessageSize (32768)"]]
  ]

  it("limits that contradict each other cause a RangeError that names both and says what to do", () => {
    for (const [options, named] of mistakes) {
      for (const make of [Limits.make, Limits.layer]) {
        let error: unknown
        try {
          make(options)
        } catch (thrown) {
          error = thrown
        }
        assert.instanceOf(error, RangeError)
        for (const name of named) assert.include((error as RangeError).message, name)
      }
    }
  })

  it("limits given in two steps are checked together", () => {
    assert.strictEqual(Limits.make(large).maxHeadSize, 100_000)
    assert.strictEqual(Limits.make({ maxHeadSize: 50_000 }, Limits.make(large)).maxFrameSize, 200_000)
    assert.throws(
      () => Limits.make({ maxMessageSize: 65_536 }, Limits.make(large)),
      RangeError,
      "maxMessageSize (65536)"
    )
  })

  it.live("limits that contradict each other end a program when its server, client or WebSockets are made", () =>
    Effect.gen(function*() {
      const bad = { limits: { maxHeadSize: 100_000 } }
      const layers = [
        Hub(bad),
        NodeSwaggerSocket.layerHttpServer({ port: 0, ...bad }),
        SwaggerSocketClient.layer({ url: "ws://127.0.0.1:1", ...bad }).pipe(
          Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
        )
      ] as ReadonlyArray<Layer.Layer<unknown>>
      for (const layer of layers) {
        const cause = yield* Effect.flip(Effect.sandbox(Effect.scoped(Layer.build(layer))))
        const [reason] = cause.reasons
        assert.isTrue(reason?._tag === "Die" && reason.defect instanceof RangeError)
      }
    }))
})

describe("Limits", () => {
  it("a limit outside its range is a RangeError that names it", () => {
    assert.throws(() => Limits.make({ maxFrameSize: 10 }), RangeError, "maxFrameSize")
    assert.throws(() => Limits.make({ maxConcurrentStreams: 1.5 }), RangeError, "maxConcurrentStreams")
  })

  it("limits that depend on another limit follow it", () => {
    assert.strictEqual(Limits.make({ maxConcurrentStreams: 5000 }).resetBurst, 5000)
    assert.strictEqual(Limits.make({ streamWindow: 100_000_000 }).maxStreamWindow, 100_000_000)
  })

  it("limits that are left out, or undefined, have their defaults", () => {
    assert.deepStrictEqual(Limits.make({ maxUnread: undefined }), Limits.defaults)
  })
})

/**
 * Requests that a hub passes on from one connection to another, and from plain HTTP.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { MiB } from "./support/bodies.ts"
import { join, serveRoutes } from "./support/connections.ts"
import { sharedOut } from "./support/extent.ts"
import { all, hubs, type PassOn } from "./support/relays.ts"
import * as v1 from "./v1/transports.ts"

const { makePair } = SwaggerSocketTest

class Hub extends SwaggerSocketServer.Service<Hub>()("test/Relay/Hub") {}

const fine = HttpServerResponse.text("fine")

type Connect = (
  options: {}
) => Effect.Effect<Readonly<Record<"client" | "server", Connection.Connection>>, unknown, Scope.Scope>

/** A caller and a device, each with a connection to the hub between them. */
const relayed = (passOn: PassOn, call: Connect, serve: Connect) =>
  Effect.gen(function*() {
    const calling = yield* call({})
    const serving = yield* serve({})
    yield* passOn(calling.server, serving.server)
    return { calling: calling.client, serving: serving.client }
  })

type Way = readonly [name: string, ends: ReturnType<typeof relayed>]

/** A run takes each case over one of these ways, `WHOLE=1` over all. */
const suites = (ways: ReadonlyArray<Way>, options?: Parameters<typeof HttpSemantics.suite>[3]): void => {
  const share = sharedOut(ways.length)
  for (const [index, [name, ends]] of ways.entries()) {
    const layer = Layer.merge(HttpSemantics.layerConnections(ends), NodeHttpServer.layerHttpServices)
    HttpSemantics.suite(share(index, { describe, it }), `relayed, ${name}`, layer, options)
  }
}

const makeV1Pair = () => makePair({ wire: "v1", limits: v1.limits, serverLimits: v1.limits })

for (const [hub, passOn] of hubs) {
  suites([
    [`${hub}, in memory`, relayed(passOn, makePair, makePair)],
    [`${hub}, over WebSockets`, relayed(passOn, join, join)]
  ])
}

suites(
  hubs.flatMap(([hub, passOn]) => [
    [`${hub}, from wire v1`, relayed(passOn, makeV1Pair, makePair)],
    [`${hub}, to wire v1`, relayed(passOn, makePair, makeV1Pair)]
  ]),
  {
    skip: {
      ...v1.options.skip,
      "text and arrayBuffer of a response that breaks off fail too":
        "a caller on wire v1 whose answer breaks off before its head has left gets a 500"
    }
  }
)

/** A caller, a hub and a device in memory. */
const begin = Effect.fnUntraced(function*<A, E, R>(passOn: PassOn, routes: Layer.Layer<A, E, R>) {
  const calling = yield* makePair()
  const device = yield* makePair()
  yield* passOn(calling.server, device.server)
  yield* serveRoutes(device.client, routes)
  return { calling, device, api: ApiClient.make(calling.client) }
})

/** A handler that begins, never ends, and may be interrupted. */
const makeStuck = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const handler = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
    Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
  )
  return {
    routes: HttpRouter.add("GET", "/stuck", handler),
    begun: Deferred.await(begun),
    interrupted: Deferred.await(interrupted)
  }
})

describe.each(hubs)("outcomes of calls relayed %s", (_, passOn) => {
  // PROTOCOL.md REL-3
  it.live("a caller that gives up interrupts the handler of the device", () =>
    Effect.gen(function*() {
      const stuck = yield* makeStuck
      const { api } = yield* begin(passOn, stuck.routes)
      const call = yield* Effect.forkChild(api.get("/stuck"))
      yield* stuck.begun
      yield* Fiber.interrupt(call)
      yield* stuck.interrupted
    }).pipe(Effect.scoped))

  it.live("a device whose connection has closed has not processed the request, and the caller learns that", () =>
    Effect.gen(function*() {
      const { api, device } = yield* begin(passOn, Layer.empty)
      yield* device.server.close()
      const error = yield* Effect.flip(api.post("/order"))
      assert.strictEqual(outcomeOf(error), "not-processed")
    }).pipe(Effect.scoped))

  // PROTOCOL.md REL-3
  it.live("a device that serves no API has not processed the request", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      yield* passOn(calling.server, device.server)
      const error = yield* Effect.flip(ApiClient.make(calling.client).post("/order"))
      assert.strictEqual(outcomeOf(error), "not-processed")
    }).pipe(Effect.scoped))

  // PROTOCOL.md REL-2, REL-3
  it.live("a device that is lost while it handles a request leaves the outcome unknown, there and nowhere else", () =>
    Effect.gen(function*() {
      const stuck = yield* makeStuck
      const calling = yield* makePair()
      const [lost, other] = [yield* makePair(), yield* makePair()]
      yield* serveRoutes(
        calling.server,
        Layer.mergeAll(
          HttpRouter.add("*", "/stuck", Relay.to(lost.server)),
          HttpRouter.add("*", "/fine", Relay.to(other.server))
        )
      )
      yield* serveRoutes(lost.client, stuck.routes)
      yield* serveRoutes(other.client, HttpRouter.add("GET", "/fine", HttpServerResponse.text("fine")))
      const api = ApiClient.make(calling.client)
      const call = yield* Effect.forkChild(Effect.flip(api.get("/stuck")))
      yield* stuck.begun
      yield* lost.client.close()
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      assert.strictEqual((yield* api.get("/fine")).status, 200)
      assert.strictEqual(yield* calling.client.status, "open")
    }).pipe(Effect.scoped))

  it.live("a device that is lost in the middle of an answer fails the body of the caller", () =>
    Effect.gen(function*() {
      const { api, device } = yield* begin(
        passOn,
        HttpRouter.add(
          "GET",
          "/half",
          HttpServerResponse.stream(Stream.concat(Stream.make(new Uint8Array(8)), Stream.never))
        )
      )
      const response = yield* api.get("/half")
      const reading = yield* Effect.forkChild(Effect.flip(response.text))
      yield* device.client.close()
      yield* Fiber.join(reading)
    }).pipe(Effect.scoped))

  // PROTOCOL.md REL-2
  it.live("a call to a device that is interrupted waits, and is executed once", () =>
    Effect.gen(function*() {
      let executed = 0
      const count = Effect.sync(() => HttpServerResponse.text(String(++executed)))
      const { api, calling, device } = yield* begin(passOn, HttpRouter.add("POST", "/count", count))
      yield* device.cut
      yield* calling.cut
      assert.strictEqual(yield* (yield* api.post("/count")).text, "1")
      assert.strictEqual(executed, 1)
    }).pipe(Effect.scoped))
})

describe.each(hubs)("bodies relayed %s", (_, passOn) => {
  // PROTOCOL.md REL-1
  it.live("a reader that stops holds its own body alone, and no more of it than windows have", () =>
    Effect.gen(function*() {
      let produced = 0
      const chunk = new Uint8Array(64 * 1024)
      const endless = Stream.forever(Stream.sync(() => {
        produced += chunk.length
        return chunk
      }))
      const { api } = yield* begin(
        passOn,
        Layer.mergeAll(
          HttpRouter.add("GET", "/endless", HttpServerResponse.stream(endless)),
          HttpRouter.add("GET", "/fine", HttpServerResponse.text("fine"))
        )
      )
      const response = yield* api.get("/endless")
      // A few chunks, and then the reader stops.
      yield* Effect.forkScoped(Stream.runForEach(response.stream, () => Effect.never))
      let before = -1
      while (before !== produced) {
        before = produced
        for (let call = 0; call < 20; call++) assert.strictEqual((yield* api.get("/fine")).status, 200)
      }
      assert.isBelow(produced, 4 * MiB)
    }).pipe(Effect.scoped))
})

describe("bodies that a handler has read", () => {
  it.live("a body that the handler of the hub has read is passed on whole", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      yield* serveRoutes(
        calling.server,
        HttpRouter.add(
          "POST",
          "/*",
          Effect.gen(function*() {
            const request = yield* HttpServerRequest.HttpServerRequest
            yield* request.text
            return yield* Relay.to(device.server)
          })
        )
      )
      yield* serveRoutes(
        device.client,
        HttpRouter.add("POST", "/echo", (request) => Effect.map(request.text, HttpServerResponse.text))
      )
      const response = yield* ApiClient.make(calling.client).post("/echo", { body: HttpBody.text("signed") })
      assert.strictEqual(yield* response.text, "signed")
    }).pipe(Effect.scoped))
})

describe("handlers that do more than relay", () => {
  /** A body without end, and a wait until some of it has been asked for. */
  const makeUpload = Effect.map(Deferred.make<void>(), (sent) => {
    let count = 0
    const chunks = Stream.fromEffectRepeat(Effect.suspend(() => {
      const next = Effect.as(Effect.yieldNow, new Uint8Array(100))
      return ++count === 20 ? Effect.tap(next, () => Deferred.succeed(sent, undefined)) : next
    }))
    return { body: HttpBody.stream(chunks), sent: Deferred.await(sent) }
  })

  it.live("a body that goes on after the request could not be passed on is dropped, and the connection stays", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      yield* device.server.close()
      const { body, sent } = yield* makeUpload
      yield* serveRoutes(calling.server, HttpRouter.add("POST", "/*", Effect.tap(Relay.to(device.server), () => sent)))
      const error = yield* Effect.flip(ApiClient.make(calling.client).post("/order", { body }))
      assert.strictEqual(outcomeOf(error), "not-processed")
      assert.strictEqual(yield* calling.client.status, "open")
    }).pipe(Effect.scoped))

  it.live("an answer that the hub does not pass on is given up at the device", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      const closed = yield* Deferred.make<void>()
      const endless = Stream.ensuring(
        Stream.concat(Stream.make(new Uint8Array(8)), Stream.never),
        Deferred.succeed(closed, undefined)
      )
      yield* serveRoutes(device.client, HttpRouter.add("GET", "/endless", HttpServerResponse.stream(endless)))
      yield* serveRoutes(
        calling.server,
        HttpRouter.add("GET", "/*", Effect.as(Relay.to(device.server), HttpServerResponse.text("other")))
      )
      const response = yield* ApiClient.make(calling.client).get("/endless")
      assert.strictEqual(yield* response.text, "other")
      yield* Deferred.await(closed)
    }).pipe(Effect.scoped))

  it.live("a streamed body is passed on once: to a second device the hub does not send the rest of it", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const [lost, other] = [yield* makePair(), yield* makePair()]
      yield* lost.server.close()
      yield* serveRoutes(other.client, HttpRouter.add("POST", "/*", HttpServerResponse.text("a part of the body")))
      const { body } = yield* makeUpload
      yield* serveRoutes(
        calling.server,
        HttpRouter.add("POST", "/*", Effect.andThen(Relay.to(lost.server), Relay.to(other.server)))
      )
      const response = yield* ApiClient.make(calling.client).post("/order", { body })
      assert.strictEqual(response.status, 503)
    }).pipe(Effect.scoped))
})

describe("what the hub may change", () => {
  it.live("target and fields of a request, and fields of its answer", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      yield* serveRoutes(
        calling.server,
        HttpRouter.add(
          "GET",
          "/devices/*",
          Effect.map(
            Relay.to(device.server, { target: "/seen?by=device", headers: { host: "device", "x-by": "hub" } }),
            HttpServerResponse.setHeader("x-answer", "of the hub")
          )
        )
      )
      yield* serveRoutes(
        device.client,
        HttpRouter.add(
          "GET",
          "/seen",
          (request) => HttpServerResponse.json({ url: request.url, headers: request.headers })
        )
      )
      const response = yield* ApiClient.make(calling.client).get("/devices/pump-7", {
        headers: { authorization: "secret" }
      })
      assert.deepStrictEqual(yield* response.json, {
        url: "/seen?by=device",
        headers: { host: "device", "x-by": "hub" }
      })
      assert.strictEqual(response.headers["x-answer"], "of the hub")
    }).pipe(Effect.scoped))
})

describe("requests that are passed on before any handler", () => {
  const serveHub = Effect.fnUntraced(function*(
    near: Connection.Connection,
    route: Parameters<typeof Relay.layerConnection>[1]
  ) {
    yield* serveRoutes(near, HttpRouter.add("GET", "/*", HttpServerResponse.text("the hub")))
    yield* Layer.build(Relay.layerConnection(near, route))
  })

  it.live("the route sees the connection and the head; what it leaves goes to the API of the hub", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      const seen: Array<unknown> = []
      yield* serveRoutes(
        device.client,
        HttpRouter.add("*", "/*", ({ headers, method, url }) => HttpServerResponse.json({ method, url, headers }))
      )
      yield* serveHub(calling.server, ({ connection, headers, method, target }) => {
        seen.push([connection.id, method, target, headers["x-caller"]])
        return target.startsWith("/devices/")
          ? { connection: device.server, target: target.slice(8), headers: { host: "device" } }
          : undefined
      })
      const api = ApiClient.make(calling.client)
      assert.strictEqual(yield* (yield* api.get("/time")).text, "the hub")
      const response = yield* api.put("/devices/a?b", { headers: { "x-caller": "me" } })
      assert.deepStrictEqual(yield* response.json, { method: "PUT", url: "/a?b", headers: { host: "device" } })
      assert.deepStrictEqual(seen, [
        [calling.server.id, "GET", "/time", undefined],
        [calling.server.id, "PUT", "/devices/a?b", "me"]
      ])
    }).pipe(Effect.scoped))

  it.live("a route that throws fails its call alone, and what it answers may be wrong as well", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      yield* serveHub(calling.server, ({ connection, target }) => {
        if (target === "/throws") throw new Error("no such table")
        return target === "/wrong" ? { connection, headers: { "a b": "" } } : undefined
      })
      const api = ApiClient.make(calling.client)
      for (const target of ["/throws", "/wrong"]) {
        assert.strictEqual(outcomeOf(yield* Effect.flip(api.post(target))), "unknown")
      }
      assert.strictEqual(yield* (yield* api.get("/time")).text, "the hub")
    }).pipe(Effect.scoped))

  it.live("the end of the layer waits for calls in progress, and leaves the next ones to the API of the hub", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      const [begun, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const slow = Deferred.succeed(begun, undefined).pipe(
        Effect.andThen(Deferred.await(go)),
        Effect.as(HttpServerResponse.text("the device"))
      )
      yield* serveRoutes(device.client, HttpRouter.add("GET", "/*", slow))
      const relays = yield* Scope.make()
      yield* serveRoutes(calling.server, HttpRouter.add("GET", "/*", HttpServerResponse.text("the hub")))
      const relay = Relay.layerConnection(calling.server, () => ({ connection: device.server }))
      yield* Scope.provide(Layer.build(relay), relays)
      const api = ApiClient.make(calling.client)
      const call = yield* Effect.forkChild(Effect.flatMap(api.get("/slow"), ({ text }) => text))
      yield* Deferred.await(begun)
      const closing = yield* Effect.forkChild(Scope.close(relays, Exit.void), { startImmediately: true })
      assert.strictEqual(yield* Effect.flatMap(api.get("/slow"), ({ text }) => text), "the hub")
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual(yield* Fiber.join(call), "the device")
      yield* Fiber.join(closing)
    }).pipe(Effect.scoped))

  it.effect("the end of the layer ends the calls that are still in progress after drainTimeout", () =>
    Effect.gen(function*() {
      const calling = yield* makePair()
      const device = yield* makePair()
      const stuck = yield* makeStuck
      yield* serveRoutes(device.client, stuck.routes)
      const relays = yield* Scope.make()
      const relay = Relay.layerConnection(calling.server, () => ({ connection: device.server }))
      yield* Scope.provide(Layer.build(relay), relays)
      const call = yield* Effect.forkChild(Effect.flip(ApiClient.make(calling.client).get("/stuck")))
      yield* stuck.begun
      const closing = yield* Effect.forkChild(Scope.close(relays, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(outcomeOf(yield* Fiber.join(call)), "unknown")
      yield* stuck.interrupted
      assert.deepStrictEqual([yield* calling.client.status, yield* device.client.status], ["open", "open"])
    }).pipe(Effect.scoped))

  it.live("a call counts against the quotas of its caller until it has ended", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      const stuck = yield* makeStuck
      yield* serveRoutes(device.client, Layer.merge(stuck.routes, HttpRouter.add("GET", "/fine", Effect.succeed(fine))))
      const hub = yield* Layer.build(
        Layer.provide(SwaggerSocketTest.layer(Hub), Quotas.layer({ server: { calls: 1 } }))
      )
      yield* Effect.provide(
        Layer.build(Relay.layerServer(Hub, () => ({ connection: device.server }))),
        hub
      )
      const api = ApiClient.make(yield* Context.get(hub, SwaggerSocketClient.SwaggerSocketClient).connection)
      const call = yield* Effect.forkChild(api.get("/stuck"))
      yield* stuck.begun
      assert.strictEqual((yield* api.get("/fine")).status, 503)
      yield* Fiber.interrupt(call)
      yield* stuck.interrupted
      assert.strictEqual((yield* api.get("/fine")).status, 200)
    }).pipe(Effect.scoped))
})

describe("a relay that is served without a router", () => {
  const give = Effect.fnUntraced(
    function*(call: (hub: Connection.Connection) => Effect.Effect<unknown, unknown, Scope.Scope>) {
      const device = yield* makePair()
      const stuck = yield* makeStuck
      yield* serveRoutes(device.client, stuck.routes)
      const calling = yield* Effect.forkChild(call(device.server))
      yield* stuck.begun
      yield* Fiber.interrupt(calling)
      yield* stuck.interrupted
    },
    Effect.scoped
  )

  it.live("a caller on a connection that gives up interrupts the handler of the device", () =>
    give((device) =>
      Effect.gen(function*() {
        const { client, server } = yield* makePair()
        yield* Layer.build(Layer.provide(HttpServer.serve(Relay.to(device)), ApiServer.layerConnection(server)))
        return yield* ApiClient.make(client).get("/stuck")
      })
    ))

  it.live("a caller over plain HTTP that gives up interrupts the handler of the device", () =>
    give((device) =>
      Effect.gen(function*() {
        const context = yield* Layer.build(
          Layer.provideMerge(HttpServer.serve(Relay.to(device)), NodeHttpServer.layerTest)
        )
        return yield* Effect.provideContext(HttpClient.get("/stuck"), context)
      })
    ))
})

describe("callers over plain HTTP", () => {
  it.live("are answered by the device, or told whether it has processed the request", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      const stuck = yield* makeStuck
      yield* serveRoutes(
        device.client,
        Layer.merge(
          stuck.routes,
          HttpRouter.add("POST", "/echo", (request) => Effect.succeed(HttpServerResponse.stream(request.stream)))
        )
      )
      const http = yield* HttpClient.HttpClient
      yield* HttpRouter.serve(all(device.server), { disableLogger: true, disableListenLog: true }).pipe(Layer.build)
      const body = HttpBody.stream(Stream.make(new TextEncoder().encode("a"), new TextEncoder().encode("b")))
      assert.strictEqual(yield* (yield* http.post("/echo", { body })).text, "ab")
      const call = yield* Effect.forkChild(http.get("/stuck"))
      yield* stuck.begun
      yield* device.client.close()
      assert.strictEqual((yield* Fiber.join(call)).status, 502)
      assert.strictEqual((yield* http.get("/stuck")).status, 503)
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("are answered with the fields of the device alone, and its cookies to the byte", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      const cookies = [
        "a=1; Path=/; Priority=High",
        "a=2; path=/x; expires=Wed, 21 Oct 2026 07:28:00 GMT",
        "b=\"x\"; Partitioned"
      ]
      const answer = () => new Response(null, { headers: cookies.map((cookie) => ["set-cookie", cookie]) })
      yield* HttpServer.serve(ApiServer.fromWebHandler(answer)).pipe(
        Layer.provide(ApiServer.layerConnection(device.client)),
        Layer.build
      )
      yield* HttpRouter.serve(all(device.server), { disableLogger: true, disableListenLog: true }).pipe(Layer.build)
      const { address } = yield* HttpServer.HttpServer
      const { headers } = yield* Effect.promise(() => fetch(NetAddress.formatUrlUnsafe(address)))
      assert.deepStrictEqual(headers.getSetCookie(), cookies)
      assert.isNull(headers.get("content-type"))
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))

  it.live("ask the device for the path and the query that they have sent, character by character", () =>
    Effect.gen(function*() {
      const device = yield* makePair()
      const target = "/a%2Fb?q=%F0&q=1+2&empty=&flag"
      const asked = (request: HttpServerRequest.HttpServerRequest) => HttpServerResponse.text(request.url)
      yield* HttpServer.serve(Effect.map(HttpServerRequest.HttpServerRequest, asked)).pipe(
        Layer.provide(ApiServer.layerConnection(device.client)),
        Layer.build
      )
      yield* HttpRouter.serve(
        Layer.merge(
          all(device.server),
          HttpRouter.add("GET", "/other", Relay.to(device.server, { target: `${target}&other` }))
        ),
        { disableLogger: true, disableListenLog: true }
      ).pipe(Layer.build)
      const origin = NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address)
      const textOf = (url: string) => Effect.promise(async () => (await fetch(url)).text())
      assert.strictEqual(yield* textOf(`${origin}${target}`), target)
      assert.strictEqual(yield* textOf(`${origin}/other?of=caller`), `${target}&other`)
    }).pipe(Effect.provide(NodeHttpServer.layerTest), Effect.scoped))
})

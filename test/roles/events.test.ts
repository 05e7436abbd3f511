import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Handshake from "effect-swaggersocket/Handshake"
import { LinkError, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { EventHub } from "../../src/internal/observe/eventHub.ts"

class DeviceInfo extends Schema.Class<DeviceInfo>("DeviceInfo")({
  name: Schema.String,
  since: Schema.DateFromString
}) {}

class Devices extends SwaggerSocketServer.Service<Devices>()("test/Devices", { metadata: DeviceInfo }) {}

const metadata = (name: string) => ({ name, since: "2026-01-02T03:04:05.000Z" })

const device = (name: string) => Layer.build(SwaggerSocketTest.layerClient(Devices, { metadata: metadata(name) }))

describe("registry", () => {
  it.effect("the registry finds connections by id, by metadata, and lists all of them", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      yield* device("a")
      yield* device("b")
      const b = yield* devices.awaitConnection((connection) => connection.metadata.name === "b")
      assert.isTrue(b.metadata instanceof DeviceInfo)
      assert.isTrue(b.metadata.since instanceof Date)
      assert.strictEqual(yield* devices.connection(b.id), b)
      assert.deepStrictEqual(yield* devices.find((connection) => connection.metadata.name === "b"), Option.some(b))
      assert.deepStrictEqual(yield* devices.find(() => false), Option.none())
      assert.deepStrictEqual((yield* devices.connections).map(({ metadata }) => metadata.name), ["a", "b"])
      assert.deepStrictEqual(yield* devices.filter((connection) => connection.id === b.id), [b])
      const error = yield* Effect.flip(devices.connection("nobody"))
      assert.deepInclude(error.reason, { _tag: "ConnectionNotFound", connectionId: "nobody" })
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("the registry's changes start with the present connections and follow each change", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      const sizes = yield* Queue.unbounded<number>()
      yield* Effect.forkChild(
        Stream.runForEach(devices.changes, (connections) => Queue.offer(sizes, connections.length)),
        { startImmediately: true }
      )
      assert.strictEqual(yield* Queue.take(sizes), 0)
      const scope = yield* Scope.make()
      yield* Scope.provide(device("a"), scope)
      assert.strictEqual(yield* Queue.take(sizes), 1)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual(yield* Queue.take(sizes), 0)
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("two servers in one process do not see each other's connections", () =>
    Effect.gen(function*() {
      class Others extends SwaggerSocketServer.Service<Others>()("test/Others") {}
      const context = yield* Layer.build(Others.layerNoRoute({}))
      yield* device("a")
      const devices = yield* Devices
      yield* devices.awaitConnection()
      assert.strictEqual(
        (yield* Effect.provideContext(Effect.flatMap(Others, (_) => _.connections), context)).length,
        0
      )
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))
})

describe("events", () => {
  it.effect("events tell of a connection that is received and closed: initiator, code, reason, metadata and statistics", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      const events = yield* Effect.forkChild(Stream.runCollect(Stream.take(devices.events, 2)), {
        startImmediately: true
      })
      yield* device("a")
      const connection = yield* devices.awaitConnection()
      yield* connection.close({ code: 4000 + 999, reason: "enough" })
      const [received, closed] = yield* Fiber.join(events)
      assert.deepInclude(received, { _tag: "ConnectionReceived", connectionId: connection.id, wire: "v2" })
      assert.deepInclude(closed, {
        _tag: "ConnectionClosed",
        connectionId: connection.id,
        initiator: "local",
        code: 4999,
        reason: "enough"
      })
      assert.isTrue(closed?._tag === "ConnectionClosed" && closed.metadata.name === "a")
      assert.isTrue(closed?._tag === "ConnectionClosed" && closed.statistics.messagesSent >= 1)
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("a late subscriber first gets the connections that are open", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      yield* device("a")
      yield* devices.awaitConnection()
      const [first] = yield* Stream.runCollect(Stream.take(devices.events, 1))
      assert.isTrue(first?._tag === "ConnectionReceived" && first.metadata.name === "a")
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("a refused client causes an event without a connection", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      yield* Layer.build(SwaggerSocketTest.layerClient(Devices, { metadata: { name: 1 } }))
      const [event] = yield* Stream.runCollect(Stream.take(devices.events, 1))
      assert.strictEqual(event?._tag, "ConnectionAttemptFailed")
      assert.isTrue(
        event?._tag === "ConnectionAttemptFailed" && event.error.reason._tag === "HandshakeRefused" &&
          event.error.reason.code === "METADATA_INVALID" && event.error.reason.path?.join(".") === "name"
      )
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("events have a schema: they survive JSON, metadata and error included", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      const json = Schema.toCodecJson(ConnectionEvent.ConnectionEvent(DeviceInfo))
      yield* device("a")
      const connection = yield* devices.awaitConnection()
      yield* Layer.build(SwaggerSocketTest.layerClient(Devices, { metadata: {} }))
      const events = yield* Stream.runCollect(Stream.take(devices.events, 2))
      for (const event of events) {
        const text = JSON.stringify(yield* Schema.encodeUnknownEffect(json)(event))
        const back = yield* Schema.decodeUnknownEffect(json)(JSON.parse(text))
        assert.strictEqual(back._tag, event._tag)
        if (back._tag === "ConnectionReceived") {
          assert.strictEqual(back.connectionId, connection.id)
          assert.isTrue(back.metadata instanceof DeviceInfo)
        }
        if (back._tag === "ConnectionAttemptFailed") assert.strictEqual(back.error.reason._tag, "HandshakeRefused")
      }
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("a slow subscriber loses its oldest events, is told how many, and holds up nobody", () =>
    Effect.gen(function*() {
      const hub = new EventHub<number>(10)
      const event = (n: number): ConnectionEvent.ConnectionEvent<number> => ({
        _tag: "ConnectionReceived",
        connectionId: String(n),
        metadata: n,
        wire: "v2",
        at: 0
      })
      const gate = yield* Queue.unbounded<void>()
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(Stream.take(hub.stream(() => []), 12), (event) => {
          seen.push(event._tag === "ConnectionReceived" ? event.connectionId : `${event._tag}`)
          if (event._tag === "EventsDropped") seen.push(String(event.count))
          return Queue.take(gate)
        }),
        { startImmediately: true }
      )
      for (let n = 0; n < 100; n++) hub.publish(event(n))
      for (let n = 0; n < 12; n++) yield* Queue.offer(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, [
        "0",
        "EventsDropped",
        "89",
        ...Array.from({ length: 10 }, (_, i) => String(90 + i))
      ])
    }))
})

describe("failed handshakes", () => {
  it.effect("failed handshakes do not displace a slow subscriber's events of connections", () =>
    Effect.gen(function*() {
      const hub = new EventHub<number>(10)
      const received = (n: number) =>
        ({ _tag: "ConnectionReceived", connectionId: String(n), metadata: n, wire: "v2", at: 0 }) as const
      const error = new SwaggerSocketError({ reason: new LinkError({ phase: "open", description: "" }) })
      const failed = { _tag: "ConnectionAttemptFailed", attempt: 1, willRetry: true, error, at: 0 } as const
      const open = yield* Latch.make()
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(hub.stream(() => []), (event) => {
          seen.push("connectionId" in event ? event.connectionId : "count" in event ? `-${event.count}` : "x")
          return open.await
        }),
        { startImmediately: true }
      )
      hub.publish(received(0))
      for (let n = 0; n < 100; n++) hub.publish(failed)
      for (let n = 1; n <= 8; n++) hub.publish(received(n))
      for (let n = 0; n < 100; n++) hub.publish(failed)
      yield* open.open
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, ["0", "-198", "1", "2", "3", "4", "5", "6", "7", "8", "x", "x"])
      yield* Fiber.interrupt(fiber)
    }))
})

describe("caller", () => {
  class Agents extends SwaggerSocketServer.Service<Agents, { readonly user: string }>()("test/Agents") {}

  const server = Agents.layerNoRoute({
    authenticate: ({ headers }) =>
      headers.authorization === "Bearer secret"
        ? Effect.succeed({ user: "ada" })
        : Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "no token" }))
  })

  it.effect("the principal that authenticate returned reaches handlers and the registry", () =>
    Effect.gen(function*() {
      const agents = yield* Agents
      const seen = yield* agents.awaitConnection()
      assert.deepStrictEqual(seen.principal, { user: "ada" })
      yield* Layer.build(Layer.provide(
        HttpServer.serve(Effect.map(Connection.current, (connection) =>
          HttpServerResponse.jsonUnsafe({ metadata: connection.metadata, principal: connection.principal }))),
        ApiServer.layerServer(Agents)
      ))
      const client = yield* Effect.provide(Effect.service(HttpClient.HttpClient), ApiClient.layer)
      const response = yield* client.get("/")
      assert.deepStrictEqual(yield* response.json, { metadata: { name: "m" }, principal: { user: "ada" } })
    }).pipe(Effect.provide(
      SwaggerSocketTest.layerClient(Agents, {
        metadata: { name: "m" },
        headers: { authorization: "Bearer secret" }
      }).pipe(Layer.provideMerge(server))
    )))

  it.effect("code outside of a connection has no current connection", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* Connection.currentOption))
    }))
})

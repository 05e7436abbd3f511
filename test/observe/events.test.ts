/**
 * Events of connections: what they tell, and what a subscriber that is slow loses.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import { LinkError, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { EventHub } from "../../src/internal/observe/eventHub.ts"
import { device, DeviceInfo, Devices } from "../support/devices.ts"

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

  it.effect("a late subscriber gets any number of connections that are open", () =>
    Effect.gen(function*() {
      const hub = new EventHub<unknown>()
      const open: Array<ConnectionEvent.ConnectionEvent> = Array.from({ length: 300_000 }, () => ({
        _tag: "EventsDropped",
        count: 1,
        at: 0
      }))
      assert.strictEqual(yield* Stream.runCount(Stream.take(hub.stream(() => open), open.length)), open.length)
    }))

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

  it.effect("events of exceeded quotas have a schema, and do not displace events of connections", () =>
    Effect.gen(function*() {
      const json = Schema.toCodecJson(ConnectionEvent.ConnectionEvent(DeviceInfo))
      const exceeded = {
        _tag: "QuotaExceeded",
        quota: "connections",
        holder: "address",
        address: "10.0.0.1",
        count: 3,
        at: 0
      } as const
      const text = JSON.stringify(yield* Schema.encodeUnknownEffect(json)(exceeded))
      assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(json)(JSON.parse(text)), exceeded)
      const hub = new EventHub<number>(3)
      const closed = yield* Latch.make()
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(hub.stream(() => []), (event) => {
          seen.push("connectionId" in event ? event.connectionId : event._tag)
          return closed.await
        }),
        { startImmediately: true }
      )
      const received = (connectionId: string) =>
        ({ _tag: "ConnectionReceived", connectionId, metadata: 0, wire: "v2", at: 0 }) as const
      hub.publish(received("a"))
      yield* Effect.yieldNow
      hub.publish(received("b"))
      for (let n = 0; n < 10; n++) hub.publish(exceeded)
      hub.publish(received("c"))
      yield* closed.open
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, ["a", "EventsDropped", "b", "QuotaExceeded", "c"])
      yield* Fiber.interrupt(fiber)
    }))

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

/**
 * What our client makes of a server's WebSocket, right or wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as StreamingClient from "effect-swaggersocket/StreamingClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { RawPeer } from "../support/rawPeer.ts"
import { listen, type ListenOptions } from "../support/rawServer.ts"
import { until, within } from "../support/waiting.ts"
import type { Client } from "./bindings.ts"
import { Gone, readings, Weather, Wordy } from "./weather.ts"

type Sensors = Client["sensors"]

/** A call to a server that does what it is told. */
const startCall = Effect.fnUntraced(function*<A, E>(
  call: (sensors: Sensors) => Effect.Effect<A, E>,
  options: ListenOptions = {},
  settings: StreamingClient.WebSocketOptions = {}
) {
  const server = yield* listen(options)
  const baseUrl = server.url.replace("ws", "http")
  const { sensors } = yield* StreamingClient.makeWebSocket(Weather, { baseUrl, ...settings }).pipe(
    Effect.provide([FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor])
  )
  const fiber = yield* Effect.forkChild(Effect.exit(call(sensors)))
  const result = within("the call", Effect.flatten(Fiber.join(fiber)))
  return { server, fiber, result }
})

const watch = (sensors: Sensors) => Effect.flatMap(sensors.watch({ query: {} }), Stream.runCollect)
const average = (sensors: Sensors) => sensors.average({ payload: Stream.make(...readings(1, 2)) })
const averageEndless = (sensors: Sensors) => sensors.average({ payload: Stream.never })
const record = (sensors: Sensors) => sensors.record({ params: { id: 1 }, payload: Stream.make(...readings(1)) })

const nextText = (peer: RawPeer) => peer.take("a text", (event) => event._tag === "Text" ? event.text : undefined)

const isTransportError = (error: unknown) =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "TransportError"

const reading = `{"celsius":1,"at":"t0"}`

describe("messages of a client", () => {
  it.live("a client sends each message as a text of JSON and a line feed, and null at the end", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(average)
      const peer = yield* server.accept
      assert.deepStrictEqual(
        [yield* nextText(peer), yield* nextText(peer), yield* nextText(peer)],
        [`{"celsius":1,"at":"t0"}\n`, `{"celsius":2,"at":"t1"}\n`, "null\n"]
      )
      yield* peer.send("1.5\n")
      assert.strictEqual(yield* result, 1.5)
    }))

  it.live("a client that does not stream sends nothing", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(watch)
      const peer = yield* server.accept
      yield* peer.send(reading)
      yield* peer.close(1000)
      assert.deepStrictEqual(yield* result, [...readings(1)])
      assert.deepStrictEqual(peer.log.filter(({ _tag }) => _tag === "Text"), [])
    }))

  it.live("a call that is interrupted closes its WebSocket with 4499", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* startCall((sensors) =>
        sensors.average({ payload: Stream.concat(Stream.make(...readings(1)), Stream.never) })
      )
      const peer = yield* server.accept
      yield* nextText(peer)
      yield* Fiber.interrupt(fiber)
      yield* peer.expectClose(4499)
    }))

  it.live("a call that is interrupted before the upgrade is answered drops its TCP connection", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* startCall(averageEndless, { refuses: ["silent"] })
      yield* until("the dial", () => server.sockets.size === 1)
      yield* within("the interruption", Fiber.interrupt(fiber))
      yield* until("the end", () => server.sockets.size === 0)
    }))
})

describe("messages for a client", () => {
  for (
    const [what, message] of [
      ["text", reading],
      ["text with a line feed", `${reading}\n`],
      ["pretty-printed JSON", JSON.stringify(JSON.parse(reading), null, 2).replaceAll("\n", "\r\n")],
      ["binary", Buffer.from(`${reading}\n`)]
    ] as const
  ) {
    it.live(`a client reads ${what} as a message`, () =>
      Effect.gen(function*() {
        const { result, server } = yield* startCall(watch)
        const peer = yield* server.accept
        yield* peer.send(message)
        yield* peer.send(message)
        yield* peer.close(1000)
        assert.deepStrictEqual(yield* result, [...readings(1), ...readings(1)])
        const warmest = yield* startCall((sensors) => sensors.warmest({ query: {}, payload: Stream.empty }))
        yield* (yield* warmest.server.accept).send(message)
        assert.deepStrictEqual(yield* warmest.result, readings(1)[0])
      }))
  }

  it.live("a client takes the first result, and closes the WebSocket when another one comes", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(averageEndless)
      const peer = yield* server.accept
      yield* peer.send("1")
      yield* peer.send("2")
      assert.strictEqual(yield* result, 1)
      yield* peer.expectClose(4499)
    }))

  it.live("close code 4000 plus a status with JSON is a typed error, in every kind of call", () =>
    Effect.gen(function*() {
      for (const call of [watch, average, averageEndless, record] as ReadonlyArray<typeof watch>) {
        const { result, server } = yield* startCall(call)
        yield* (yield* server.accept).close(4410, `{"_tag":"Gone","id":5}`)
        assert.deepStrictEqual(yield* Effect.flip(result), new Gone({ id: 5 }))
      }
    }))

  it.live("an error that is announced in a message is used instead of the close frame's part of it", () =>
    Effect.gen(function*() {
      const words = "é".repeat(500)
      for (const call of [watch, average] as ReadonlyArray<typeof watch>) {
        const { result, server } = yield* startCall(call)
        const peer = yield* server.accept
        const json = JSON.stringify({ _tag: "Wordy", words })
        yield* peer.send(Buffer.from(`\u001e${json}`))
        yield* peer.close(4422, json.slice(0, 50))
        assert.deepStrictEqual(yield* Effect.flip(result), new Wordy({ words }))
      }
    }))
})

describe("errors for a client", () => {
  for (
    const [what, end] of [
      ["1001", (peer: RawPeer) => peer.close(1001)],
      ["1011", (peer: RawPeer) => peer.close(1011, "internal error")],
      ["a close without a code", (peer: RawPeer) => peer.close()],
      ["an error that was not declared", (peer: RawPeer) => peer.close(4418, `{"_tag":"Teapot"}`)],
      ["a status without JSON", (peer: RawPeer) => peer.close(4410, "gone")],
      ["half an error", (peer: RawPeer) => peer.close(4410, `{"_tag":"Go`)],
      ["a code of nobody's", (peer: RawPeer) => peer.close(4001, "{}")],
      ["a TCP reset", (peer: RawPeer) => peer.resetTcp],
      ["a TCP end", (peer: RawPeer) => Effect.sync(() => peer.tcp.end())]
    ] as const
  ) {
    it.live(`${what} fails every kind of call, and never completes one`, () =>
      Effect.gen(function*() {
        for (const call of [watch, average, averageEndless, record] as ReadonlyArray<typeof watch>) {
          const { result, server } = yield* startCall(call)
          const peer = yield* server.accept
          if (call === watch) yield* peer.send(reading)
          yield* end(peer)
          const error: unknown = yield* Effect.flip(result)
          assert.isTrue(HttpClientError.isHttpClientError(error) || Schema.isSchemaError(error), String(error))
        }
      }))
  }

  it.live("close code 1000 without the result that is due fails the call", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(average)
      yield* (yield* server.accept).close(1000)
      assert.isTrue(isTransportError(yield* Effect.flip(result)))
    }))

  for (
    const [what, message] of [
      ["garbage", "garbage"],
      ["a value of another type", `{"celsius":"warm","at":""}`],
      ["an empty message", ""],
      ["two values", `${reading}\n${reading}`],
      ["null", "null"],
      ["bytes that are no UTF-8", Buffer.from([0xff, 0xfe])]
    ] as const
  ) {
    it.live(`${what} as a message fails the call after the valid messages, and the client closes the WebSocket`, () =>
      Effect.gen(function*() {
        const received = yield* Deferred.make<void>()
        const { result, server } = yield* startCall((sensors) =>
          Effect.flatMap(
            sensors.watch({ query: {} }),
            Stream.runForEach(() => Deferred.succeed(received, undefined))
          )
        )
        const peer = yield* server.accept
        yield* peer.send(reading)
        yield* within("the first message", Deferred.await(received))
        yield* peer.send(message)
        yield* Effect.flip(result)
        yield* peer.expectClose(4499)
        const warmest = yield* startCall((sensors) => sensors.warmest({ query: {}, payload: Stream.never }))
        yield* (yield* warmest.server.accept).send(message)
        yield* Effect.flip(warmest.result)
      }))
  }

  it.live("a server that is not there, or refuses with an undeclared status, fails the call", () =>
    Effect.gen(function*() {
      for (const status of [301, 404, 410, 500, 503]) {
        const { result } = yield* startCall(watch, { refuses: [status] })
        assert.isTrue(HttpClientError.isHttpClientError(yield* Effect.flip(result)), String(status))
      }
      const { sensors } = yield* StreamingClient.makeWebSocket(Weather, { baseUrl: "http://127.0.0.1:1" }).pipe(
        Effect.provide([FetchHttpClient.layer, NodeSwaggerSocket.layerWebSocketConstructor])
      )
      assert.isTrue(isTransportError(yield* Effect.flip(sensors.watch({ query: {} }))))
    }))
})

describe("settings of a client", () => {
  it.live("a client waits no longer than openTimeout for an upgrade", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(watch, { refuses: ["silent"] }, { openTimeout: "50 millis" })
      assert.isTrue(isTransportError(yield* Effect.flip(result)))
      yield* until("the end", () => server.sockets.size === 0)
    }))

  it.live("configure receives the WebSocket before it opens", () =>
    Effect.gen(function*() {
      const seen: Array<number | undefined> = []
      const { result, server } = yield* startCall(watch, {}, { configure: (ws) => seen.push(ws.readyState) })
      const peer = yield* server.accept
      yield* peer.close(1000)
      assert.deepStrictEqual(yield* result, [])
      assert.deepStrictEqual(seen, [0])
    }))
})

describe("hostile server", () => {
  for (const status of [600, 999]) {
    it.live(`status ${status}, which is no status of HTTP, fails the call and nothing else`, () =>
      Effect.gen(function*() {
        const { result } = yield* startCall(watch, { refuses: [status] })
        assert.isTrue(isTransportError(yield* Effect.flip(result)))
      }))
  }

  it.live("line breaks in an error's JSON do not split it into events", () =>
    Effect.gen(function*() {
      const { result, server } = yield* startCall(watch)
      const peer = yield* server.accept
      yield* peer.close(4410, `{"_tag":"Gone",\n\n"id":7}`)
      assert.deepStrictEqual(yield* Effect.flip(result), new Gone({ id: 7 }))
    }))
})

/**
 * What can be set for the WebSockets of calls: for all of a group, and for one endpoint.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as StreamingServer from "effect-swaggersocket/StreamingServer"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as Latch from "effect/Latch"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as WS from "ws"
import { until, within } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial, dialRefused } from "./raw.ts"
import { type Behaviour, readings, serve } from "./weather.ts"

const never = { watch: () => Effect.succeed(Stream.never) } satisfies Partial<Behaviour>

it.live("a handler that stops waiting for its first message while onOpen runs still answers its call", () =>
  Effect.gen(function*() {
    const opening = Latch.makeUnsafe(false)
    const givenUp = Latch.makeUnsafe(false)
    const { url } = yield* listen(serve({
      average: (payload) =>
        Effect.raceFirst(Stream.runHead(payload), opening.await).pipe(
          Effect.andThen(givenUp.open),
          Effect.as(42)
        )
    }, { onOpen: () => Effect.andThen(opening.open, givenUp.await) }))
    const raw = yield* dial(url, "/average")
    assert.strictEqual((yield* raw.end).code, 1000)
    assert.deepStrictEqual(raw.messages, ["42\n"])
  }))

describe("pings", () => {
  it.live("a server sends no pings unless an endpoint asks for them", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve(never, { endpoints: { convert: { pingInterval: 5 } } }))
      const without = yield* dial(url, "/watch")
      const pinged = yield* dial(url, "/convert")
      yield* until("10 pings", () => pinged.pings >= 10)
      assert.strictEqual(without.pings, 0)
    }))

  it.live("an endpoint may have a ping interval of its own, or none", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(
        serve(never, { pingInterval: 5, endpoints: { watch: { pingInterval: undefined } } })
      )
      const without = yield* dial(url, "/watch")
      const pinged = yield* dial(url, "/average")
      yield* until("10 pings", () => pinged.pings >= 10)
      assert.strictEqual(without.pings, 0)
      assert.isUndefined(pinged.closed)
    }))

  it.live("a client that answers no ping is closed with 4408, and its handler is interrupted", () =>
    Effect.gen(function*() {
      for (const path of ["/watch", "/average"]) {
        const ended = yield* Deferred.make<void>()
        const end = Deferred.succeed(ended, undefined)
        const { url } = yield* listen(serve({
          watch: () => Effect.succeed(Stream.ensuring(Stream.never, end)),
          average: (payload) => Effect.onInterrupt(Stream.runCount(payload), () => end)
        }, { pingInterval: 5, pongTimeout: 20 }))
        const raw = yield* dial(url, path, { autoPong: false })
        assert.strictEqual((yield* raw.end).code, 4408)
        yield* within("the handler's end", Deferred.await(ended))
      }
    }))

  it.live("a client whose messages wait for a slow handler is not closed for missing pongs", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const { url } = yield* listen(serve({
        average: (payload) => Stream.runCount(Stream.tap(payload, () => gate.await))
      }, { pingInterval: 5, pongTimeout: 300 }))
      const raw = yield* dial(url, "/average")
      const message = JSON.stringify({ celsius: 1, at: "x".repeat(10_000) })
      for (let count = 0; count < 400; count++) raw.ws.send(message)
      raw.ws.send("null")
      const before = raw.pings
      yield* until("pings that went unanswered", () => raw.closed !== undefined || raw.pings >= before + 4)
      yield* gate.open
      assert.deepStrictEqual(yield* raw.received(1), ["400\n"])
      assert.strictEqual((yield* raw.end).code, 1000)
    }))
})

describe("onOpen", () => {
  it.live("onOpen runs before the first message is read, and its resources are kept until the call has ended", () =>
    Effect.gen(function*() {
      const steps: Array<string> = []
      const opened: Array<StreamingServer.Call> = []
      const { url } = yield* listen(serve({
        average: (payload) => Stream.runCount(Stream.tap(payload, () => Effect.sync(() => steps.push("message"))))
      }, {
        onOpen: (call) =>
          Effect.gen(function*() {
            opened.push(call)
            steps.push("opened")
            yield* Effect.addFinalizer(() => Effect.sync(() => void steps.push("released")))
          })
      }))
      const raw = yield* dial(url, "/average?who=me")
      raw.ws.send(`{"celsius":1,"at":"x"}`)
      raw.ws.send("null")
      assert.strictEqual((yield* raw.end).code, 1000)
      yield* until("the release", () => steps.length === 3)
      assert.deepStrictEqual(steps, ["opened", "message", "released"])
      assert.include(opened[0]!.request.url, "who=me")
      assert.instanceOf(opened[0]!.webSocket, WS.WebSocket)
    }))

  it.live("resources of onOpen are released when the client has gone", () =>
    Effect.gen(function*() {
      const released = yield* Deferred.make<void>()
      const onOpen = () => Effect.addFinalizer(() => Deferred.succeed(released, undefined))
      const { url } = yield* listen(serve(never, { endpoints: { watch: { onOpen } } }))
      const raw = yield* dial(url, "/watch")
      raw.tcp.destroy()
      yield* within("the release", Deferred.await(released))
    }))

  it.live("onOpen may close the WebSocket, which interrupts the handler", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const { url } = yield* listen(
        serve({ watch: () => Effect.succeed(Stream.ensuring(Stream.never, Deferred.succeed(ended, undefined))) }, {
          onOpen: ({ close }) => Effect.sync(() => close(4001, "not today"))
        })
      )
      const raw = yield* dial(url, "/watch")
      assert.deepStrictEqual(yield* raw.end, { code: 4001, reason: "not today" })
      yield* within("the handler's end", Deferred.await(ended))
    }))

  it.live("a close reason from onOpen that is too long for a close frame is cut at a character", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve(never, {
        onOpen: ({ close }) => Effect.sync(() => close(4001, `a${"é".repeat(100)}`))
      }))
      const raw = yield* dial(url, "/watch")
      // 123 bytes, of which the first is one character and the others are two bytes each.
      assert.deepStrictEqual(yield* raw.end, { code: 4001, reason: `a${"é".repeat(61)}` })
    }))

  it.live("closing with a code that no close frame may have throws a RangeError in onOpen", () =>
    Effect.gen(function*() {
      const thrown: Array<unknown> = []
      const codes = [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 4000.5, Number.NaN]
      const { url } = yield* listen(serve(never, {
        onOpen: ({ close }) =>
          Effect.sync(() => {
            for (const code of codes) {
              try {
                close(code, "")
              } catch (error) {
                thrown.push(error)
              }
            }
            close(1012, "")
          })
      }))
      const raw = yield* dial(url, "/watch")
      assert.strictEqual((yield* raw.end).code, 1012)
      assert.strictEqual(thrown.length, codes.length)
      for (const error of thrown) assert.instanceOf(error, RangeError)
    }))

  it.live("a defect of onOpen is an error of the server, and logged", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, logLevel, message }) =>
      void lines.push(`${logLevel}: ${JSON.stringify(message)} ${Cause.pretty(cause)}`)
    )
    return Effect.gen(function*() {
      const onOpen = () => Effect.die(new Error("password"))
      const { url } = yield* listen(serve({}, { onOpen }))
      for (const path of ["/watch", "/average"]) {
        const raw = yield* dial(url, path)
        assert.deepStrictEqual(yield* raw.end, { code: 1011, reason: "internal error" })
      }
      const logged = lines.filter((line) => line.includes("StreamingServer.onOpen"))
      assert.strictEqual(logged.length, 2, lines.join("\n"))
      assert.isTrue(logged.every((line) => line.startsWith("Error") && line.includes("password")))
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

describe("closeCodes", () => {
  it("a close code that no close frame may have is a RangeError that names its option", () => {
    for (const failed of [1006, 1005, 1015, 42, 5000]) {
      assert.throws(() => serve({}, { closeCodes: { failed } }), RangeError, `closeCodes.failed ${failed}`)
    }
    const endpoints = { watch: { closeCodes: { complete: 2000 } } }
    assert.throws(() => serve({}, { endpoints }), RangeError, "closeCodes.complete 2000")
  })
})

describe("origins", () => {
  it.live("pages of the server's own host may call, and others only if origins names them", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve(never, {
        origins: ["https://app.example.com"],
        endpoints: { average: { origins: "*" }, record: { origins: (origin) => origin.endsWith(".example.org") } }
      }))
      yield* dial(url, "/watch")
      yield* dial(url, "/watch", { origin: "https://app.example.com" })
      yield* dial(url, "/average", { origin: "https://evil.example.com" })
      yield* dial(url, "/record/1", { origin: "https://a.example.org" })
      const own = yield* listen(serve(never))
      yield* dial(own.url, "/watch", { origin: own.url })
      for (
        const [path, origin] of [
          ["/watch", "https://evil.example.com"],
          ["/watch", url],
          ["/watch", "null"],
          ["/watch", "http://app.example.com"],
          ["/watch", "https://app.example.com.evil.com"],
          ["/record/1", "https://app.example.com"]
        ] as const
      ) assert.strictEqual((yield* dialRefused(url, path, { origin })).status, 403, `${path} ${origin}`)
    }))

  it.live("ordinary HTTP requests of a page are not checked against origins, but left to CORS", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const response = yield* Effect.promise(() =>
        fetch(`${url}/watch`, { headers: { origin: "https://evil.example.com" } })
      )
      assert.strictEqual(response.status, 200)
      assert.include(yield* Effect.promise(() => response.text()), `data: {"celsius":3,"at":"t2"}`)
    }))
})

describe("maxMessageSize", () => {
  it.live("a message of a client above maxMessageSize closes with 1009 and interrupts the handler", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const { url } = yield* listen(serve({
        average: (payload) => Effect.onInterrupt(Stream.runCount(payload), () => Deferred.succeed(ended, undefined))
      }, { maxMessageSize: 1000, endpoints: { convert: { maxMessageSize: 2000 } } }))
      const message = (size: number) => `{"celsius":1,"at":"${"x".repeat(size - 21)}"}`
      const fits = yield* dial(url, "/record/1")
      fits.ws.send(message(1000))
      fits.ws.send("null")
      assert.strictEqual((yield* fits.end).code, 1000)
      const larger = yield* dial(url, "/average")
      larger.ws.send(message(1001))
      assert.strictEqual((yield* larger.end).code, 1009)
      yield* within("the handler's end", Deferred.await(ended))
      const other = yield* dial(url, "/convert")
      other.ws.send(message(2000))
      yield* other.received(1)
      other.ws.send(message(2001))
      assert.strictEqual((yield* other.end).code, 1009)
    }))

  it.live("maxMessageSize is 1 MiB by default", () =>
    Effect.gen(function*() {
      const { url } = yield* listen(serve())
      const raw = yield* dial(url, "/average")
      raw.ws.send(Buffer.alloc(1024 * 1024 + 1, " "))
      assert.strictEqual((yield* raw.end).code, 1009)
    }))

  it.live("a message of a server that is too large fails the client's call, and interrupts the handler", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const large = Stream.concat(Stream.make({ celsius: 1, at: "x".repeat(1000) }), Stream.never)
      const server = yield* listen(serve({
        watch: () => Effect.succeed(Stream.ensuring(large, Deferred.succeed(ended, undefined)))
      }))
      const { sensors } = yield* server.client({ endpoints: { watch: { maxMessageSize: 500 } } })
      const stream = yield* sensors.watch({ query: {} })
      const error = yield* within("the error", Effect.flip(Stream.runDrain(stream)))
      assert.isTrue(HttpClientError.isHttpClientError(error))
      yield* within("the handler's end", Deferred.await(ended))
      const payload = Stream.make(...readings(1))
      assert.strictEqual(yield* sensors.average({ payload }), 1)
    }))
})

/**
 * The four protocol parts are services: each can be replaced.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const standard = {
  handshake: {
    accept: Context.get(Context.empty(), Handshake.Accept),
    dial: Context.get(Context.empty(), Handshake.Dial)
  },
  multiplexer: Context.get(Context.empty(), Multiplexer.Multiplexer)
}

const ping = Effect.gen(function*() {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  yield* Layer.build(
    HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")), {
      disableLogger: true,
      disableListenLog: true
    }).pipe(Layer.provide(ApiServer.layerConnection(server)))
  )
  return yield* Effect.flatMap(ApiClient.make(client).get("/ping"), (response) => response.text)
})

describe("services", () => {
  it.effect("a multiplexer that watches every message", () =>
    Effect.gen(function*() {
      const roles: Array<string> = []
      let received = 0
      const layer = Multiplexer.layer((options) => {
        roles.push(options.role)
        const inner = standard.multiplexer(options)
        const receive = inner.receive.bind(inner)
        return Object.assign(inner, {
          receive(message: Uint8Array) {
            received++
            return receive(message)
          }
        })
      })
      assert.strictEqual(yield* Effect.provide(ping, layer), "pong")
      assert.deepStrictEqual(roles.sort(), ["client", "server"])
      assert.isAtLeast(received, 2)
    }))

  it.effect("a handshake that says something first", () =>
    Effect.gen(function*() {
      let greeting: unknown
      const layer = Handshake.layer({
        accept: (link, options) =>
          Effect.andThen(
            Effect.tap(link.receive, (message) =>
              Effect.sync(() => {
                greeting = message
              })),
            standard.handshake.accept(link, options)
          ),
        dial: (link, options) => Effect.andThen(link.send("good morning"), standard.handshake.dial(link, options))
      })
      assert.strictEqual(yield* Effect.provide(ping, layer), "pong")
      assert.strictEqual(greeting, "good morning")
    }))
})

describe("Connection.close", () => {
  it.effect("a code that WebSockets do not allow is told as a mistake, and the connection stays open", () =>
    Effect.gen(function*() {
      const { client } = yield* SwaggerSocketTest.makePair()
      const exit = yield* Effect.exit(client.close({ code: 42 }))
      assert.isTrue(
        Exit.isFailure(exit) &&
          exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect instanceof RangeError)
      )
      assert.strictEqual(yield* client.status, "open")
    }))
})

describe("Limits", () => {
  it("a value outside its range is told at once, by name", () => {
    assert.throws(() => Limits.make({ maxFrameSize: 10 }), RangeError, "maxFrameSize")
    assert.throws(() => Limits.make({ maxConcurrentStreams: 1.5 }), RangeError, "maxConcurrentStreams")
  })

  it("what depends on another follows it", () => {
    assert.strictEqual(Limits.make({ maxConcurrentStreams: 5000 }).resetBurst, 5000)
    assert.strictEqual(Limits.make({ streamWindow: 100_000_000 }).maxStreamWindow, 100_000_000)
  })

  it("what is left out, or undefined, has its default", () => {
    assert.deepStrictEqual(Limits.make({ maxUnread: undefined }), Limits.defaults)
  })
})

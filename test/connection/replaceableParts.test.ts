/**
 * The four protocol parts are services: each can be replaced.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

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

describe("replaced services", () => {
  it.effect("a program may replace the multiplexer, for example by one that watches every message", () =>
    Effect.gen(function*() {
      const roles: Array<string> = []
      let received = 0
      const layer = Multiplexer.layer((options) => {
        roles.push(options.role)
        const inner = Multiplexer.standard(options)
        const receive = inner.receive.bind(inner)
        return Object.assign(inner, {
          receive(message: Uint8Array | string) {
            received++
            return receive(message)
          }
        })
      })
      assert.strictEqual(yield* Effect.provide(ping, layer), "pong")
      assert.deepStrictEqual(roles.sort(), ["client", "server"])
      assert.isAtLeast(received, 2)
    }))

  it.effect("a program may replace the handshake, for example by one that sends a greeting first", () =>
    Effect.gen(function*() {
      let greeting: unknown
      const layer = Handshake.layer({
        accept: (link, options) =>
          Effect.andThen(
            Effect.tap(link.receive, (message) =>
              Effect.sync(() => {
                greeting = message
              })),
            Handshake.standard.accept(link, options)
          ),
        dial: (link, options) => Effect.andThen(link.send("good morning"), Handshake.standard.dial(link, options))
      })
      assert.strictEqual(yield* Effect.provide(ping, layer), "pong")
      assert.strictEqual(greeting, "good morning")
    }))
})

describe("standard services", () => {
  it.effect("connections use the standard services by default, and a program may provide the same explicitly", () =>
    Effect.gen(function*() {
      const none = Context.empty()
      assert.strictEqual(Context.get(none, Handshake.Accept), Handshake.standard.accept)
      assert.strictEqual(Context.get(none, Handshake.Dial), Handshake.standard.dial)
      assert.strictEqual(Context.get(none, Heartbeat.Heartbeat), Heartbeat.standard)
      assert.strictEqual(Context.get(none, Multiplexer.Multiplexer), Multiplexer.standard)
      assert.strictEqual(Context.get(none, Reconnection.Reconnection), Reconnection.standard)
      const layer = Layer.mergeAll(
        Handshake.layer(Handshake.standard),
        Heartbeat.layer(Heartbeat.standard),
        Multiplexer.layer(Multiplexer.standard),
        Reconnection.layer(Reconnection.standard)
      )
      assert.strictEqual(yield* Effect.provide(ping, layer), "pong")
    }))
})

/**
 * The four protocol parts are services: each can be replaced.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as Limits from "effect-swaggersocket/Limits"
import * as Multiplexer from "effect-swaggersocket/Multiplexer"
import * as Reconnection from "effect-swaggersocket/Reconnection"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
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

describe("Connection.close", () => {
  for (
    const [whose, codes] of [
      ["WebSockets do not allow", [42, 1001, 1006, 2999, 5000, 3000.5, Number.NaN]],
      ["means something to the wire", [4000, 4001, 4015, 4100, 4109, 4110, 4111, 4112]]
    ] as const
  ) {
    it.effect(`a code that ${whose} makes Connection.close die with a RangeError, and the connection stays open`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        for (const end of [client, server]) {
          for (const drain of [false, true]) {
            for (const code of codes) {
              const exit = yield* Effect.exit(end.close({ code, drain }))
              const isTold = Exit.isFailure(exit) &&
                exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect instanceof RangeError)
              assert.isTrue(isTold, `${code}`)
            }
          }
          assert.strictEqual(yield* end.status, "open")
        }
      }))
  }

  it.live("codes of the application arrive at the peer unchanged", () =>
    Effect.gen(function*() {
      for (const code of [1000, 3000, 3999, 4016, 4099, 4113, 4999]) {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        yield* server.close({ code, reason: "enough" })
        assert.deepStrictEqual(yield* client.closed, { _tag: "Closed", initiator: "remote", code, reason: "enough" })
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

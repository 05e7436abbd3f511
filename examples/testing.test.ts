/**
 * Tests of an application, with client and server joined in memory: no ports, no sockets, time under control, and all
 * of the protocol between the two.
 *
 *     npx vitest run testing
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

// --- the application: a hub of ovens ----------------------------------------------------------------------------------

class Ovens extends SwaggerSocketServer.Service<Ovens, string>()("Ovens", {
  metadata: Schema.Struct({ name: Schema.String })
}) {}

const authenticate = ({ headers }: Handshake.Upgrade) =>
  headers.authorization === undefined
    ? Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "who are you?" }))
    : Effect.succeed(headers.authorization)

const OvenApi = HttpRouter.add("POST", "/bake", Effect.as(Effect.sleep("45 minutes"), HttpServerResponse.text("bread")))

/** Calls the oven with a name. */
const bake = Effect.fnUntraced(function*(name: string) {
  const oven = yield* (yield* Ovens).awaitConnection(({ metadata }) => metadata.name === name)
  const response = yield* ApiClient.make(oven).post("/bake")
  return yield* response.text
})

// --- its tests --------------------------------------------------------------------------------------------------------

const Hub = Ovens.layerNoRoute({ authenticate })

const oven = (options: SwaggerSocketTest.ClientOptions) =>
  HttpRouter.serve(OvenApi, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provideMerge(SwaggerSocketTest.layerClient(Ovens, options)),
    Layer.provideMerge(Hub)
  )

const authorized = oven({ metadata: { name: "big" }, headers: { authorization: "the baker" } })

describe("a hub of ovens", () => {
  it.effect("bakes for three quarters of an hour", () =>
    Effect.gen(function*() {
      const baking = yield* Effect.forkChild(bake("big"))
      yield* TestClock.adjust("44 minutes")
      assert.isUndefined(baking.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(baking), "bread")
    }).pipe(Effect.provide(authorized)))

  it.effect("bakes on when the link is lost meanwhile", () =>
    Effect.gen(function*() {
      const baking = yield* Effect.forkChild(bake("big"))
      yield* TestClock.adjust("10 minutes")
      const client = yield* SwaggerSocketClient
      const { changes } = yield* client.connection
      yield* client.reconnect
      // Both ends go on with another link before the clock does.
      yield* Stream.runHead(Stream.filter(changes, (status) => status === "open"))
      yield* (yield* Ovens).awaitConnection()
      yield* TestClock.adjust("35 minutes")
      assert.strictEqual(yield* Fiber.join(baking), "bread")
    }).pipe(Effect.provide(authorized)))

  it.effect("says that nobody knows whether there is bread when the connection is closed meanwhile", () =>
    Effect.gen(function*() {
      const baking = yield* Effect.forkChild(Effect.flip(bake("big")))
      yield* TestClock.adjust("10 minutes")
      yield* (yield* (yield* SwaggerSocketClient).connection).close()
      assert.strictEqual(outcomeOf(yield* Fiber.join(baking)), "unknown")
    }).pipe(Effect.provide(authorized)))

  it.effect("knows who a client is", () =>
    Effect.gen(function*() {
      const connection = yield* (yield* Ovens).awaitConnection()
      assert.strictEqual(connection.principal, "the baker")
    }).pipe(Effect.provide(authorized)))

  it.effect("refuses ovens that don't say who they are", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* SwaggerSocketClient).connection)
      assert.include(error.reason, { _tag: "HandshakeRefused", code: "UNAUTHENTICATED", retry: false })
    }).pipe(Effect.provide(oven({ metadata: { name: "small" } }))))
})

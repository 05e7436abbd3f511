/**
 * Spans of calls and handlers, and what the log tells.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Handshake from "effect-swaggersocket/Handshake"
import { SwaggerSocketClient } from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"

const routes = HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")), {
  disableLogger: true,
  disableListenLog: true
})

describe("spans", () => {
  it.effect("a handler's span is a child of its caller's, across the wire", () => {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span(options) {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(routes.pipe(Layer.provide(ApiServer.layerConnection(server))))
      yield* Effect.withSpan(ApiClient.make(client).get("/ping"), "caller")
      const byKind = (kind: string) => spans.filter((span) => span.kind === kind)
      const [call] = byKind("client")
      const [handler] = byKind("server")
      assert.isDefined(call)
      assert.isDefined(handler)
      assert.strictEqual(handler!.traceId, call!.traceId)
      assert.strictEqual(handler!.parent._tag === "Some" && handler!.parent.value.spanId, call!.spanId)
      assert.strictEqual(call!.attributes.get("http.response.status_code"), 200)
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("a call makes no span without a tracer", () => {
    let made = 0
    const counting = Tracer.make({
      span(options) {
        made++
        return new Tracer.NativeSpan(options)
      }
    })
    return Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(routes.pipe(Layer.provide(ApiServer.layerConnection(server))))
      yield* ApiClient.make(client).get("/ping")
      assert.strictEqual(made, 0)
      yield* Effect.provideService(ApiClient.make(client).get("/ping"), Tracer.Tracer, counting)
      assert.strictEqual(made, 1)
    })
  })
})

describe("logs", () => {
  it.effect("logs tell at the debug level which module did what, and never show a token", () => {
    const lines = Effect.runSync(Queue.unbounded<{
      readonly message: unknown
      readonly annotations: Readonly<Record<string, unknown>>
    }>())
    const logger = Logger.make(({ fiber, message }) => {
      Queue.offerUnsafe(lines, { message, annotations: fiber.getRef(References.CurrentLogAnnotations) })
    })
    class Peers extends SwaggerSocketServer.Service<Peers>()("test/Peers") {}
    const server = Peers.layerNoRoute({
      authenticate: () => Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason: "not you" }))
    })
    return Effect.gen(function*() {
      yield* Effect.flip((yield* SwaggerSocketClient).connection)
      const said = yield* Queue.takeBetween(lines, 3, 3)
      assert.deepStrictEqual(said.map((line) => line.annotations.module).sort(), [
        "SwaggerSocketClient",
        "SwaggerSocketClient",
        "SwaggerSocketServer"
      ])
      assert.notInclude(JSON.stringify(said), "secret")
    }).pipe(
      Effect.provide(
        SwaggerSocketTest.layerClient(Peers, {
          headers: { authorization: "Bearer secret" },
          metadata: { key: "secret" }
        })
          .pipe(Layer.provideMerge(server))
      ),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
  })
})

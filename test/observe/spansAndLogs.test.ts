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
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"

const routes = HttpRouter.serve(HttpRouter.add("GET", "/ping", HttpServerResponse.text("pong")), {
  disableLogger: true,
  disableListenLog: true
})

/** A tracer, and the spans that it has made. */
const collecting = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}

describe("spans", () => {
  it.effect("a handler's span is a child of its caller's, across the wire", () => {
    const { spans, tracer } = collecting()
    return Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      spans.length = 0
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

  it.effect("handshakes, resumption and a drain have spans, with the connection that they are of", () => {
    const { spans, tracer } = collecting()
    const described = (): Array<Record<string, unknown>> =>
      spans.map(({ attributes, name, status }) => ({
        name,
        ended: status._tag === "Ended" && Exit.isSuccess(status.exit),
        ...Object.fromEntries(attributes)
      }))
    return Effect.gen(function*() {
      const { client, cut, server } = yield* SwaggerSocketTest.makePair()
      const handshake = {
        name: "swaggersocket.handshake",
        ended: true,
        "swaggersocket.connection.id": client.id,
        "swaggersocket.resumed": false,
        "swaggersocket.wire": "v2"
      }
      assert.deepStrictEqual(described(), [{ ...handshake, "swaggersocket.role": "client" }, {
        ...handshake,
        "swaggersocket.role": "server"
      }])
      spans.length = 0
      yield* cut
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* server.status, "open")
      const resume = {
        name: "swaggersocket.resume",
        ended: true,
        "swaggersocket.connection.id": client.id
      }
      assert.sameDeepMembers(described(), [
        { ...resume, "swaggersocket.role": "client" },
        { ...resume, "swaggersocket.role": "server" },
        { ...handshake, "swaggersocket.role": "client", "swaggersocket.resumed": true },
        { ...handshake, "swaggersocket.role": "server", "swaggersocket.resumed": true }
      ])
      spans.length = 0
      yield* client.close({ drain: true })
      assert.deepStrictEqual(described(), [{ ...resume, name: "swaggersocket.drain", "swaggersocket.role": "client" }])
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("a handshake that is refused ends its span with the error", () => {
    const { spans, tracer } = collecting()
    class Peers extends SwaggerSocketServer.Service<Peers>()("test/observe/Peers") {}
    const server = Peers.layerNoRoute({
      authenticate: () => Effect.fail(new Handshake.Refusal({ code: "FORBIDDEN", reason: "not you" }))
    })
    return Effect.gen(function*() {
      yield* Effect.flip((yield* SwaggerSocketClient).connection)
      assert.deepStrictEqual(
        spans.map(({ attributes, name }) => `${name} ${String(attributes.get("swaggersocket.role"))}`).sort(),
        ["swaggersocket.handshake client", "swaggersocket.handshake server"]
      )
      // The server's ends a moment after the client has read why it is refused.
      while (spans.some(({ status }) => status._tag !== "Ended")) yield* Effect.yieldNow
      for (const { status } of spans) assert.isTrue(status._tag === "Ended" && Exit.isFailure(status.exit))
    }).pipe(
      Effect.provide(SwaggerSocketTest.layerClient(Peers).pipe(Layer.provideMerge(server))),
      Effect.provideService(Tracer.Tracer, tracer)
    )
  })

  it.effect("a call makes no span without a tracer", () => {
    const { spans, tracer } = collecting()
    return Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(routes.pipe(Layer.provide(ApiServer.layerConnection(server))))
      yield* ApiClient.make(client).get("/ping")
      assert.strictEqual(spans.length, 0)
      yield* Effect.provideService(ApiClient.make(client).get("/ping"), Tracer.Tracer, tracer)
      assert.strictEqual(spans.length, 1)
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

/**
 * Answers that can't be sent, or not to their end: what the caller sees, what the log and the span say, and that nothing of
 * them runs on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { Readable } from "node:stream"
import { streamOf, unusableChunks } from "../../src/internal/testing/http/chunks.ts"

interface Logged {
  readonly text: string
  readonly status: unknown
}

/** What was logged, and how the spans of the server ended. */
const observed = () => {
  const logs: Array<Logged> = []
  const spans: Array<Tracer.NativeSpan> = []
  const logger = Logger.make(({ cause, fiber, message }) => {
    logs.push({
      text: `${String(message)} ${Cause.pretty(cause)}`,
      status: fiber.getRef(References.CurrentLogAnnotations)["http.status"]
    })
  })
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      if (options.kind === "server") spans.push(span)
      return span
    }
  })
  const layer = Layer.merge(Logger.layer([logger]), Layer.succeed(Tracer.Tracer, tracer))
  return { logs, spans, layer }
}

/** A caller that takes heads of 1 KiB, and routes on the other end. */
const connect = Effect.fnUntraced(function*<E, R>(routes: Layer.Layer<never, E, R>, wire: "v1" | "v2" = "v2") {
  const pair = yield* SwaggerSocketTest.makePair({ limits: { maxHeadSize: 1024 }, wire })
  yield* Layer.build(
    Layer.provide(HttpRouter.serve(routes, { disableListenLog: true }), ApiServer.layerConnection(pair.server))
  )
  return { ...pair, api: ApiClient.make(pair.client) }
})

const large = { "x-large": "x".repeat(2000) }

describe("response with a head that is too large", () => {
  const bodies = {
    "a stream": (count: () => void) =>
      HttpServerResponse.stream(
        Stream.forever(Stream.fromEffect(Effect.sync(() => {
          count()
          return new Uint8Array(1024)
        }))),
        { headers: large }
      ),
    "bytes": () => HttpServerResponse.text("body", { headers: large }),
    "no body": () => HttpServerResponse.empty({ headers: large })
  }
  for (const [kind, make] of Object.entries(bodies)) {
    it.effect(`a response with ${kind} whose head is too large fails for its caller, is logged, and runs no producer`, () => {
      const { layer, logs, spans } = observed()
      return Effect.gen(function*() {
        let produced = 0
        const { api, server } = yield* connect(
          HttpRouter.add("GET", "/large", Effect.sync(() => make(() => produced++)))
        )
        const exit = yield* Effect.exit(api.get("/large"))
        assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("the head has"), String(exit))
        yield* Effect.yieldNow
        assert.strictEqual(produced, 0)
        assert.deepStrictEqual(logs.map(({ status }) => status), [500])
        assert.include(logs[0]!.text, "the peer takes 1024")
        assert.strictEqual(spans.length, 1)
        const { status } = spans[0]!
        assert.isTrue(status._tag === "Ended" && Exit.isFailure(status.exit), "the span says it went well")
        assert.strictEqual(spans[0]!.attributes.get("http.response.status_code"), 500)
        // It returns though no time passes: nothing is in progress.
        yield* server.close({ drain: "1 hour" })
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  }

  it.effect("a Node stream is destroyed when the head of its response is too large", () =>
    Effect.gen(function*() {
      const readable = new Readable({ read() {} })
      const { api } = yield* connect(
        HttpRouter.add("GET", "/large", Effect.sync(() => HttpServerResponse.raw(readable, { headers: large })))
      )
      yield* Effect.exit(api.get("/large"))
      assert.isTrue(readable.destroyed)
    }).pipe(Effect.scoped))
})

describe("body that breaks off", () => {
  for (const wire of ["v2", "v1"] as const) {
    it.effect(`a body that breaks off fails for its reader, and its defect is logged, on wire ${wire}`, () => {
      const { layer, logs } = observed()
      return Effect.gen(function*() {
        const broken = yield* Deferred.make<void>()
        const body = Stream.concat(
          Stream.make(new Uint8Array(5)),
          Stream.fromEffect(Effect.andThen(Deferred.await(broken), Effect.die(new Error("the disk is gone"))))
        )
        const { api } = yield* connect(HttpRouter.add("GET", "/", HttpServerResponse.stream(body)), wire)
        const response = yield* api.get("/")
        assert.strictEqual(response.status, 200)
        const reading = yield* Effect.forkChild(Effect.exit(response.arrayBuffer), { startImmediately: true })
        yield* Deferred.succeed(broken, undefined)
        assert.isTrue(Exit.isFailure(yield* Fiber.join(reading)), "a part was taken for the whole")
        for (let turns = 0; turns < 10; turns++) yield* Effect.yieldNow
        assert.isTrue(logs.some(({ text }) => text.includes("the disk is gone")), JSON.stringify(logs))
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  }
})

describe("body with an unusable chunk", () => {
  for (const [kind, chunk] of Object.entries(unusableChunks)) {
    it.effect(`a body that yields ${kind} instead of bytes fails its own exchange alone, and the log names the mistake`, () => {
      const { layer, logs } = observed()
      return Effect.gen(function*() {
        const { api } = yield* connect(Layer.merge(
          HttpRouter.add("GET", "/bad", HttpServerResponse.stream(streamOf([new Uint8Array(5), chunk]))),
          HttpRouter.add("GET", "/good", HttpServerResponse.text("good"))
        ))
        const exit = yield* Effect.exit(Effect.flatMap(api.get("/bad"), ({ arrayBuffer }) => arrayBuffer))
        assert.isTrue(Exit.isFailure(exit), "the body was taken for whole")
        assert.strictEqual(yield* Effect.flatMap(api.get("/good"), ({ text }) => text), "good")
        assert.isTrue(
          logs.some(({ text }) => text.includes("a chunk of a message is text or bytes")),
          JSON.stringify(logs)
        )
      }).pipe(Effect.provide(layer), Effect.scoped)
    })
  }
})

/**
 * Spans that go from the caller to the handler.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as assert from "../assert.ts"
import { type Case, makeCase, serve, serveRoutes } from "./cases.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"

/** Runs the body with a tracer that records its spans. */
const withRecorder = <A, E, R>(body: (spans: ReadonlyArray<Tracer.Span>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.provideService(body(spans), Tracer.Tracer, tracer)
  })

/** Answers with the span that the handler runs in. */
const showSpan = Effect.gen(function*() {
  const span = yield* Effect.currentSpan
  const request = yield* HttpServerRequest.HttpServerRequest
  return HttpServerResponse.jsonUnsafe({
    traceId: span.traceId,
    parent: Option.match(span.parent, { onNone: () => null, onSome: (parent) => parent.spanId }),
    kind: span.kind,
    traceparent: request.headers["traceparent"] ?? null
  })
})

export const tracingCases: ReadonlyArray<Case> = [
  makeCase(
    "the span of the handler is a child of the span of the client request",
    withRecorder((spans) =>
      Effect.gen(function*() {
        yield* serve(showSpan)
        const response = yield* HttpClient.get("/")
        const answer = yield* response.json
        const caller = yield* Effect.currentSpan
        const client = spans.find((span) => span.kind === "client")
        assert.isDefined(client)
        assert.deepStrictEqual(answer, {
          traceId: caller.traceId,
          parent: client?.spanId ?? "",
          kind: "server",
          traceparent: `00-${caller.traceId}-${client?.spanId}-01`
        })
        assert.strictEqual(client?.attributes.get("http.response.status_code"), 200)
      }).pipe(Effect.withSpan("caller"))
    )
  ),

  makeCase(
    "a traceparent header of any caller makes the parent of the handler's span",
    withRecorder(() =>
      Effect.gen(function*() {
        yield* serve(showSpan)
        const response = yield* HttpClient.get("/", { headers: { traceparent: `00-${traceId}-${spanId}-01` } }).pipe(
          Effect.provideService(HttpClient.TracerPropagationEnabled, false)
        )
        assert.deepStrictEqual(yield* response.json, {
          traceId,
          parent: spanId,
          kind: "server",
          traceparent: `00-${traceId}-${spanId}-01`
        })
      })
    )
  ),

  makeCase(
    "without propagation the handler's span starts a trace of its own",
    withRecorder(() =>
      Effect.gen(function*() {
        yield* serve(showSpan)
        const response = yield* HttpClient.get("/").pipe(
          Effect.provideService(HttpClient.TracerPropagationEnabled, false),
          Effect.withSpan("caller")
        )
        const { parent, traceparent } = (yield* response.json) as Record<string, unknown>
        assert.deepStrictEqual({ parent, traceparent }, { parent: null, traceparent: null })
      })
    )
  ),

  makeCase(
    "the span of the server request names method, path, route and status",
    withRecorder((spans) =>
      Effect.gen(function*() {
        yield* serveRoutes(HttpRouter.add("GET", "/items/:id", HttpServerResponse.text("missing", { status: 404 })))
        yield* Effect.flatMap(HttpClient.get("/items/7?q=1"), (response) => response.text)
        const server = spans.find((span) => span.kind === "server")
        assert.isDefined(server)
        assert.strictEqual(server?.attributes.get("http.request.method"), "GET")
        assert.strictEqual(server?.attributes.get("url.path"), "/items/7")
        assert.strictEqual(server?.attributes.get("http.route"), "/items/:id")
        assert.strictEqual(server?.attributes.get("http.response.status_code"), 404)
      })
    )
  )
]

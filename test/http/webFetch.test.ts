/**
 * `ApiClient.fetch`, and WHATWG handlers on a connection.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Hono } from "hono"
import { streamText } from "hono/streaming"
import createClient from "openapi-fetch"

const quiet = { disableLogger: true, disableListenLog: true } as const

/** A `fetch` that reaches the given routes. */
const fetchOf = Effect.fnUntraced(function*<E, R>(routes: Layer.Layer<never, E, R>) {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  yield* Layer.build(
    HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerConnection(server))) as Layer.Layer<never>
  )
  return ApiClient.toFetch(client)
})

describe("fetch", () => {
  it.effect("fetch sends method, path, headers and body, and returns status, headers and body", () =>
    Effect.gen(function*() {
      const fetch = yield* fetchOf(HttpRouter.add(
        "POST",
        "/echo",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          return HttpServerResponse.text(`${request.url} ${request.headers["x-a"]} ${yield* request.text}`, {
            status: 201,
            headers: { "x-b": "c" }
          })
        })
      ))
      const response = yield* Effect.promise(() =>
        fetch("http://device/echo?q=1", { method: "POST", headers: { "X-A": "b" }, body: "hello" })
      )
      assert.strictEqual(response.status, 201)
      assert.strictEqual(response.headers.get("x-b"), "c")
      assert.strictEqual(yield* Effect.promise(() => response.text()), "/echo?q=1 b hello")
      assert.strictEqual((yield* Effect.promise(() => fetch("/nowhere"))).status, 404)
    }))

  it.effect("fetch streams a request body and a response body, and keeps set-cookie fields apart", () =>
    Effect.gen(function*() {
      const fetch = yield* fetchOf(HttpRouter.add(
        "POST",
        "/upper",
        Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
          HttpServerResponse.stream(
            request.stream.pipe(Stream.decodeText, Stream.map((text) => text.toUpperCase()), Stream.encodeText)
          ).pipe(
            HttpServerResponse.setCookieUnsafe("a", "1"),
            HttpServerResponse.setCookieUnsafe("b", "2")
          ))
      ))
      const body = new ReadableStream({
        start(controller) {
          for (const word of ["one ", "two ", "three"]) controller.enqueue(new TextEncoder().encode(word))
          controller.close()
        }
      })
      const response = yield* Effect.promise(() => fetch("/upper", { method: "POST", body }))
      assert.deepStrictEqual(response.headers.getSetCookie().length, 2)
      assert.strictEqual(yield* Effect.promise(() => response.text()), "ONE TWO THREE")
    }))

  it.effect("an aborted signal rejects the fetch and interrupts the handler", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const fetch = yield* fetchOf(HttpRouter.add(
        "GET",
        "/hang",
        Deferred.succeed(started, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      ))
      const controller = new AbortController()
      const call = fetch("/hang", { signal: controller.signal }).then(() => "answered", (error) => error)
      yield* Deferred.await(started)
      controller.abort(new Error("enough"))
      assert.strictEqual((yield* Effect.promise(() => call)).message, "enough")
      yield* Deferred.await(interrupted)
    }))

  it.effect("an aborted signal cancels the body of a Request that stalls", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const fetch = yield* fetchOf(HttpRouter.add(
        "POST",
        "/upload",
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ stream }) =>
          Stream.runForEach(stream, () =>
            Deferred.succeed(started, undefined)).pipe(
              Effect.as(HttpServerResponse.empty())
            ))
      ))
      const cancelled = yield* Deferred.make<void>()
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Uint8Array.of(1))
        },
        cancel() {
          Deferred.doneUnsafe(cancelled, Effect.void)
        }
      })
      const controller = new AbortController()
      const request = new Request("http://device/upload", { method: "POST", body, duplex: "half" } as RequestInit)
      const call = fetch(request, { signal: controller.signal }).then(() =>
        "answered", (error) => error)
      yield* Deferred.await(started)
      controller.abort(new Error("enough"))
      assert.strictEqual((yield* Effect.promise(() => call)).message, "enough")
      yield* Deferred.await(cancelled)
    }))

  it.effect("a fetch on a lost connection rejects with a TypeError that tells the cause", () =>
    Effect.gen(function*() {
      const { client } = yield* SwaggerSocketTest.makePair()
      yield* client.close()
      const error = yield* Effect.promise(() => ApiClient.toFetch(client)("/x").then(() => undefined, (error) => error))
      assert.instanceOf(error, TypeError)
      assert.deepInclude(error.cause, { _tag: "HttpClientError" })
    }))

  it.effect("an answer is read where somebody has put a class of its own in the place of the global Response", () =>
    Effect.gen(function*() {
      const stream = HttpServerResponse.stream(Stream.make(new Uint8Array([104, 105])))
      const fetch = yield* fetchOf(HttpRouter.add("GET", "/hi", stream))
      // As `@hono/node-server` does: its methods are for its own objects.
      class Light extends Response {
        override arrayBuffer(): Promise<ArrayBuffer> {
          return Promise.reject(new TypeError("not one of mine"))
        }
      }
      const { Response: before } = globalThis
      yield* Effect.acquireRelease(
        Effect.sync(() => globalThis.Response = Light),
        () => Effect.sync(() => globalThis.Response = before)
      )
      const bytes = yield* Effect.promise(async () => (await fetch("/hi")).arrayBuffer())
      assert.deepStrictEqual(new Uint8Array(bytes), new Uint8Array([104, 105]))
    }))

  it.effect("an unmodified openapi-fetch client works with fetch over a connection", () =>
    Effect.gen(function*() {
      interface paths {
        "/items/{id}": {
          get: {
            parameters: { path: { id: number } }
            responses: { 200: { content: { "application/json": { id: number } } } }
          }
        }
      }
      const fetch = yield* fetchOf(HttpRouter.add(
        "GET",
        "/items/:id",
        Effect.map(HttpRouter.params, ({ id }) => HttpServerResponse.jsonUnsafe({ id: Number(id) }))
      ))
      const client = createClient<paths>({ baseUrl: "http://device", fetch })
      const { data } = yield* Effect.promise(() => client.GET("/items/{id}", { params: { path: { id: 7 } } }))
      assert.deepStrictEqual(data, { id: 7 })
    }))
})

describe("WHATWG handler on a connection", () => {
  it.effect("a Hono app on a connection answers, streams, and sees the request", () =>
    Effect.gen(function*() {
      const app = new Hono()
      app.get("/hello/:name", (c) => c.json({ hello: c.req.param("name"), q: c.req.query("q") }))
      app.get("/stream", (c) =>
        streamText(c, async (stream) => {
          for (const word of ["a", "b", "c"]) await stream.write(word)
        }))
      app.post("/sum", async (c) => c.text(String((await c.req.json<Array<number>>()).reduce((a, b) => a + b, 0))))
      const fetch = yield* fetchOf(
        HttpRouter.add("*", "/*", HttpEffect.fromWebHandler(async (request) => app.fetch(request)))
      )
      const text = (path: string, init?: RequestInit) =>
        Effect.promise(() => fetch(path, init).then((response) => response.text()))
      assert.strictEqual(yield* text("/hello/ada?q=1"), `{"hello":"ada","q":"1"}`)
      assert.strictEqual(yield* text("/stream"), "abc")
      assert.strictEqual(yield* text("/sum", { method: "POST", body: "[1,2,3]" }), "6")
    }))
})

/**
 * Handlers of the web that hand on what others have answered, and text in fields beyond what HTTP knows.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { createServer } from "node:http"
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib"
import { until } from "../support/waiting.ts"

const quiet = { disableLogger: true, disableListenLog: true } as const

const text = "plain text ".repeat(500)

/** Serves on a port of its own; answers its URL. */
const overTcp = Effect.fnUntraced(function*<E, R>(routes: Layer.Layer<never, E, R>) {
  const context = yield* Layer.build(
    HttpRouter.serve(routes, quiet).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })
      )
    ) as Layer.Layer<HttpServer.HttpServer>
  )
  const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
  return NetAddress.formatUrlUnsafe(address)
})

const coded = Object.entries({ gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }).map(([coding, encode]) =>
  HttpRouter.add(
    "GET",
    `/${coding}`,
    Effect.succeed(HttpServerResponse.uint8Array(encode(text), {
      contentType: "text/plain",
      headers: { "content-encoding": coding, "x-other": "kept" }
    }))
  )
)

const upstream = Layer.mergeAll(
  HttpRouter.add("GET", "/plain", Effect.succeed(HttpServerResponse.text(text))),
  ...coded
)

for (const wire of ["v1", "v2"] as const) {
  describe(`WHATWG handlers, on wire ${wire}`, () => {
    const serve = Effect.fnUntraced(function*<E, R>(routes: Layer.Layer<never, E, R>) {
      const { client, server } = yield* SwaggerSocketTest.makePair({ wire })
      yield* Layer.build(
        HttpRouter.serve(routes, quiet).pipe(Layer.provide(ApiServer.layerConnection(server))) as Layer.Layer<never>
      )
      return client
    })

    for (const path of ["/plain", "/gzip", "/deflate", "/br"]) {
      it.live(`a WHATWG handler passes on what fetch has decoded from ${path}`, () =>
        Effect.gen(function*() {
          const url = yield* overTcp(upstream)
          const client = yield* serve(
            HttpRouter.add(
              "GET",
              "/*",
              ApiServer.fromWebHandler((request) => fetch(url + new URL(request.url).pathname))
            )
          )
          const response = yield* ApiClient.make(client).get(path)
          assert.strictEqual(response.headers["content-encoding"], undefined)
          assert.strictEqual(response.headers["x-other"], path === "/plain" ? undefined : "kept")
          assert.strictEqual(yield* response.text, text)
          assert.strictEqual(yield* Effect.promise(async () => (await ApiClient.toFetch(client)(path)).text()), text)
        }))

      it.live(`a WHATWG handler passes on the response to ${path} that it fetched over a connection`, () =>
        Effect.gen(function*() {
          const client = yield* serve(upstream)
          const call = ApiClient.toFetch(client)
          const hub = yield* overTcp(
            HttpRouter.add("GET", "/*", HttpEffect.fromWebHandler((request) => call(new URL(request.url).pathname)))
          )
          // The coding of `br` is left, and undone by this fetch.
          const response = yield* Effect.promise(() => fetch(hub + path))
          assert.strictEqual(response.status, 200)
          assert.strictEqual(yield* Effect.promise(() => response.text()), text)
        }))

      it.live(`Effect's client passes on the response to ${path} that came over a connection`, () =>
        Effect.gen(function*() {
          const client = yield* serve(upstream)
          const hub = yield* overTcp(
            HttpRouter.add(
              "GET",
              "/*",
              (request) => Effect.map(ApiClient.make(client).get(request.url), HttpServerResponse.fromClientResponse)
            )
          )
          const answered = yield* HttpClient.get(hub + path).pipe(Effect.provide(FetchHttpClient.layer))
          assert.strictEqual(yield* answered.text, text)
        }))
    }

    it.live("a body that a WHATWG handler has encoded itself is not changed", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpRouter.add(
          "GET",
          "/own",
          ApiServer.fromWebHandler(async () =>
            new Response(gzipSync(text), { status: 203, headers: { "content-encoding": "gzip" } })
          )
        ))
        const response = yield* ApiClient.make(client).get("/own")
        assert.deepStrictEqual([response.status, response.headers["content-encoding"]], [203, "gzip"])
        assert.deepStrictEqual(Buffer.from(yield* response.arrayBuffer), gzipSync(text))
      }))

    it.live("field values beyond Latin-1 arrive unchanged, and are refused with a reason where Headers can't hold them", () =>
      Effect.gen(function*() {
        const client = yield* serve(Layer.mergeAll(
          HttpRouter.add(
            "GET",
            "/effect",
            (request) =>
              Effect.succeed(HttpServerResponse.text("", { headers: { "x-back": request.headers["x-sent"]! } }))
          ),
          HttpRouter.add(
            "GET",
            "/web",
            ApiServer.fromWebHandler(async (request) => new Response(request.headers.get("x-sent")))
          )
        ))
        const get = (path: string, value: string) =>
          ApiClient.make(client).execute(HttpClientRequest.get(path, { headers: { "x-sent": value } }))
        for (const value of ["é", "Ã©", "ÿ\u0080", "✓ 😀", "é✓"]) {
          assert.strictEqual((yield* get("/effect", value)).headers["x-back"], value)
        }
        const latin1 = yield* get("/web", "é")
        assert.strictEqual(yield* latin1.text, "é")
        assert.strictEqual((yield* get("/web", "✓")).status, 400)
        const error = yield* Effect.promise(() =>
          ApiClient.toFetch(HttpClient.mapRequest(ApiClient.make(client), HttpClientRequest.setHeader("x-sent", "✓")))(
            "/effect"
          )
            .then(() => undefined, (error: Error) => error)
        )
        assert.instanceOf(error, TypeError)
        assert.include(String((error as Error).cause), "ByteString")
      }))

    it.live("a caller that gives up aborts the signal of the request, also where the handler is served without a router", () =>
      Effect.gen(function*() {
        const { client, server } = yield* SwaggerSocketTest.makePair({ wire })
        const signals: Array<AbortSignal> = []
        const handler = ApiServer.fromWebHandler((request) => {
          signals.push(request.signal)
          return new Promise(() => {})
        })
        yield* Layer.build(Layer.provide(HttpServer.serve(handler), ApiServer.layerConnection(server)))
        const call = yield* Effect.forkChild(ApiClient.make(client).get("/"))
        yield* until("the handler is called", () => signals.length === 1)
        yield* Fiber.interrupt(call)
        yield* until("the signal is aborted", () => signals[0]!.aborted)
      }).pipe(Effect.scoped))

    it.live("a Response that was sent before is no empty one: it is answered for with 500", () =>
      Effect.gen(function*() {
        const kept = new Response("kept")
        const client = yield* serve(HttpRouter.add("GET", "/", ApiServer.fromWebHandler(() => kept)))
        const api = ApiClient.make(client)
        assert.strictEqual(yield* (yield* api.get("/")).text, "kept")
        assert.strictEqual((yield* api.get("/")).status, 500)
      }))

    it.live("a handler may answer at once, and one that throws is answered for with 500", () =>
      Effect.gen(function*() {
        const client = yield* serve(HttpRouter.add(
          "GET",
          "/:what",
          ApiServer.fromWebHandler(({ url }) => {
            if (url.endsWith("throws")) throw new Error("no")
            return new Response("at once")
          })
        ))
        const api = ApiClient.make(client)
        assert.strictEqual(yield* (yield* api.get("/answers")).text, "at once")
        assert.strictEqual((yield* api.get("/throws")).status, 500)
      }))
  })
}

/**
 * Routers, middleware, and middleware of clients.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as assert from "../assert.ts"
import { type Case, makeCase, serve, serveRoutes, serveWith } from "./cases.ts"

const textOf = (url: string) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.get(url)
    return [response.status, yield* response.text] as const
  })

const showParams = Effect.map(HttpRouter.params, (params) => HttpServerResponse.jsonUnsafe(params))

const traced = (name: string, trace: Array<string>) =>
  HttpRouter.middleware((handler) =>
    Effect.sync(() => trace.push(`${name} in`)).pipe(
      Effect.andThen(handler),
      Effect.tap(() => Effect.sync(() => trace.push(`${name} out`))),
      Effect.map(HttpServerResponse.setHeader(`x-${name}`, "1"))
    )
  )

/** Answers each request with the next of the statuses, then with 200. */
const serveStatuses = (...statuses: ReadonlyArray<number>) => {
  const left = [...statuses]
  const bodies: Array<string> = []
  return Effect.as(
    serveWith((request) =>
      Effect.map(request.text, (body) => {
        bodies.push(body)
        return HttpServerResponse.text("answer", { status: left.shift() ?? 200 })
      })
    ),
    bodies
  )
}

export const routingCases: ReadonlyArray<Case> = [
  makeCase(
    "params of a route are decoded",
    Effect.gen(function*() {
      yield* serveRoutes(HttpRouter.add("GET", "/users/:user/files/:file", showParams))
      const response = yield* HttpClient.get("/users/42/files/a%2Fb%20%C3%A9")
      assert.deepStrictEqual(yield* response.json, { user: "42", file: "a/b é" })
    })
  ),

  makeCase(
    "a wildcard takes the rest of the path",
    Effect.gen(function*() {
      yield* serveRoutes(HttpRouter.add("GET", "/static/*", showParams))
      const response = yield* HttpClient.get("/static/a/b/c.txt?x=1")
      assert.deepStrictEqual(yield* response.json, { "*": "a/b/c.txt" })
    })
  ),

  makeCase(
    "a path without a route and a method without a route are a 404",
    Effect.gen(function*() {
      yield* serveRoutes(HttpRouter.add("GET", "/here", HttpServerResponse.text("here")))
      assert.deepStrictEqual(yield* textOf("/here"), [200, "here"])
      assert.deepStrictEqual(yield* textOf("/there"), [404, ""])
      assert.strictEqual((yield* HttpClient.post("/here")).status, 404)
    })
  ),

  makeCase(
    "HEAD falls back to the GET route",
    Effect.gen(function*() {
      yield* serveRoutes(HttpRouter.add("GET", "/here", HttpServerResponse.text("here")))
      const response = yield* HttpClient.head("/here")
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-length"], "4")
    })
  ),

  makeCase(
    "routes under a prefix see the rest of the url",
    Effect.gen(function*() {
      yield* serveRoutes(
        HttpRouter.addAll([
          HttpRouter.route("GET", "/items", (request) => Effect.succeed(HttpServerResponse.text(request.url)))
        ], { prefix: "/v1" })
      )
      assert.deepStrictEqual(yield* textOf("/v1/items?x=1"), [200, "/items?x=1"])
    })
  ),

  makeCase(
    "schemas decode params and query, and a mismatch is a 400",
    Effect.gen(function*() {
      yield* serveRoutes(HttpRouter.add(
        "GET",
        "/items/:id",
        Effect.gen(function*() {
          const { id } = yield* HttpRouter.schemaPathParams(Schema.Struct({ id: Schema.NumberFromString }))
          const query = yield* HttpServerRequest.schemaSearchParams(
            Schema.Struct({ tag: Schema.Array(Schema.String), sort: Schema.String })
          )
          return HttpServerResponse.jsonUnsafe({ id, ...query })
        })
      ))
      const response = yield* HttpClient.get("/items/7", {
        urlParams: [["tag", "a b"], ["tag", "c+d"], ["sort", "✓"]]
      })
      assert.deepStrictEqual(yield* response.json, { id: 7, tag: ["a b", "c+d"], sort: "✓" })
      assert.strictEqual((yield* HttpClient.get("/items/7?tag=a")).status, 400)
    })
  ),

  makeCase(
    "middleware wraps its routes, and global middleware all of them",
    Effect.gen(function*() {
      const trace: Array<string> = []
      const inner = traced("inner", trace)
      const outer = traced("outer", trace)
      const everywhere = HttpRouter.middleware(
        (handler) => Effect.andThen(Effect.sync(() => trace.push("global")), handler),
        { global: true }
      )
      yield* serveRoutes(Layer.mergeAll(
        HttpRouter.add(
          "GET",
          "/wrapped",
          Effect.sync(() => {
            trace.push("handler")
            return HttpServerResponse.text("wrapped")
          })
        ).pipe(Layer.provide(inner.combine(outer).layer)),
        HttpRouter.add("GET", "/plain", HttpServerResponse.text("plain")),
        everywhere
      ))
      const response = yield* HttpClient.get("/wrapped")
      assert.strictEqual(yield* response.text, "wrapped")
      assert.strictEqual(response.headers["x-inner"], "1")
      assert.strictEqual(response.headers["x-outer"], "1")
      assert.deepStrictEqual(trace, ["global", "outer in", "inner in", "handler", "inner out", "outer out"])
      const plain = yield* HttpClient.get("/plain")
      assert.isUndefined(plain.headers["x-inner"])
    })
  ),

  makeCase(
    "middleware given to serve sees the response after it has been handled",
    Effect.gen(function*() {
      const seen = yield* Deferred.make<number>()
      yield* HttpServer.serveEffect(
        Effect.succeed(HttpServerResponse.text("made", { status: 201 })),
        (handler) => Effect.tap(handler, (response) => Deferred.succeed(seen, response.status))
      )
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 201)
      assert.strictEqual(yield* response.text, "made")
      assert.strictEqual(yield* Deferred.await(seen), 201)
    })
  ),

  makeCase(
    "a pre-response handler can replace the response",
    Effect.gen(function*() {
      yield* serve(Effect.gen(function*() {
        yield* HttpEffect.appendPreResponseHandler((request, response) =>
          Effect.succeed(HttpServerResponse.setHeader(response, "x-pre", request.url))
        )
        return HttpServerResponse.text("body")
      }))
      const response = yield* HttpClient.get("/target")
      assert.strictEqual(response.headers["x-pre"], "/target")
      assert.strictEqual(yield* response.text, "body")
    })
  ),

  makeCase(
    "a fetch-style handler can be served",
    Effect.gen(function*() {
      yield* serve(HttpEffect.fromWebHandler(async (request) => {
        const { pathname, search } = new URL(request.url)
        return Response.json({
          target: pathname + search,
          method: request.method,
          header: request.headers.get("x-header"),
          body: await request.text()
        }, { status: 201, headers: { "x-answer": "1" } })
      }))
      const response = yield* HttpClient.post("/a?b=c", { headers: { "x-header": "d" }, body: HttpBody.text("é") })
      assert.strictEqual(response.status, 201)
      assert.strictEqual(response.headers["x-answer"], "1")
      assert.deepStrictEqual(yield* response.json, { target: "/a?b=c", method: "POST", header: "d", body: "é" })
    })
  ),

  makeCase(
    "CORS answers a preflight and marks a response",
    Effect.gen(function*() {
      yield* serveRoutes(Layer.mergeAll(
        HttpRouter.add("GET", "/", HttpServerResponse.text("body")),
        HttpRouter.cors({ allowedOrigins: ["https://a.example", "https://b.example"] })
      ))
      const preflight = yield* HttpClient.options("/", {
        headers: { origin: "https://b.example", "access-control-request-method": "GET" }
      })
      assert.strictEqual(preflight.status, 204)
      assert.strictEqual(preflight.headers["access-control-allow-origin"], "https://b.example")
      const response = yield* HttpClient.get("/", { headers: { origin: "https://b.example" } })
      assert.strictEqual(response.headers["access-control-allow-origin"], "https://b.example")
      assert.strictEqual(yield* response.text, "body")
    })
  ),

  makeCase(
    "a redirect arrives as one",
    Effect.gen(function*() {
      yield* serve(Effect.succeed(HttpServerResponse.redirect("/elsewhere?a=%20b")))
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 302)
      assert.strictEqual(response.headers["location"], "/elsewhere?a=%20b")
    })
  ),

  ...Array.from(
    [
      [301, "GET", ""],
      [302, "GET", ""],
      [303, "GET", ""],
      [307, "POST", "payload"],
      [308, "POST", "payload"]
    ] as const,
    ([status, method, body]) =>
      makeCase(
        `followRedirects follows a ${status} of a POST as ${method}`,
        Effect.gen(function*() {
          yield* serveWith((request) =>
            request.url === "/start"
              ? Effect.succeed(HttpServerResponse.redirect("/end?x=1", { status }))
              : Effect.map(request.text, (text) => HttpServerResponse.text(`${request.method} ${request.url} ${text}`))
          )
          const client = HttpClient.followRedirects(yield* HttpClient.HttpClient)
          const response = yield* client.post("/start", { body: HttpBody.text("payload") })
          assert.strictEqual(yield* response.text, `${method} /end?x=1 ${body}`)
        })
      )
  ),

  makeCase(
    "followRedirects gives up after its limit",
    Effect.gen(function*() {
      let requests = 0
      yield* serveWith((request) => {
        requests++
        return Effect.succeed(HttpServerResponse.redirect(`${request.url}x`))
      })
      const client = HttpClient.followRedirects(yield* HttpClient.HttpClient, 3)
      const response = yield* client.get("/x")
      assert.strictEqual(response.status, 302)
      assert.strictEqual(requests, 4)
    })
  ),

  makeCase(
    "retryTransient asks again after a 503, with the body",
    Effect.gen(function*() {
      const bodies = yield* serveStatuses(503, 429)
      const client = HttpClient.retryTransient(yield* HttpClient.HttpClient, { times: 3 })
      const response = yield* client.post("/", { body: HttpBody.text("payload") })
      assert.strictEqual(response.status, 200)
      assert.strictEqual(yield* response.text, "answer")
      assert.deepStrictEqual(bodies, ["payload", "payload", "payload"])
    })
  ),

  makeCase(
    "retryTransient does not ask again after a 400",
    Effect.gen(function*() {
      const bodies = yield* serveStatuses(400)
      const client = HttpClient.retryTransient(yield* HttpClient.HttpClient, { times: 3 })
      assert.strictEqual((yield* client.get("/")).status, 400)
      assert.strictEqual(bodies.length, 1)
    })
  ),

  makeCase(
    "filterStatusOk fails with the status and the response",
    Effect.gen(function*() {
      yield* serveStatuses(404)
      const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
      const error = yield* Effect.flip(client.get("/"))
      assert.strictEqual(error.reason._tag, "StatusCodeError")
      assert.strictEqual(error.response?.status, 404)
    })
  ),

  makeCase(
    "schemaJson decodes status, headers and body of a response together",
    Effect.gen(function*() {
      yield* serve(HttpServerResponse.json({ a: 1 }, { status: 201, headers: { "x-tag": "t" } }))
      const decoded = yield* Effect.flatMap(
        HttpClient.get("/"),
        HttpClientResponse.schemaJson(Schema.Struct({
          status: Schema.Literal(201),
          headers: Schema.Struct({ "x-tag": Schema.String }),
          body: Schema.Struct({ a: Schema.Int })
        }))
      )
      assert.deepStrictEqual(decoded, { status: 201, headers: { "x-tag": "t" }, body: { a: 1 } })
    })
  )
]

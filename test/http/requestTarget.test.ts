/**
 * URLs of calls: base URLs, paths, and what becomes of them on the wire.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcClient from "effect/rpc/RpcClient"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { parse } from "../../src/internal/http/requestTarget.ts"

class Api extends HttpApi.make("Api").add(
  HttpApiGroup.make("all", { topLevel: true }).add(HttpApiEndpoint.get("ping", "/ping", { success: Schema.String }))
) {}

const client = Effect.gen(function*() {
  const { client, server } = yield* SwaggerSocketTest.makePair()
  const routes = HttpRouter.add(
    "GET",
    "*",
    (request) => Effect.succeed(HttpServerResponse.jsonUnsafe(`${request.headers.host} ${request.url}`))
  )
  yield* Layer.build(
    HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(ApiServer.layerConnection(server))
    )
  )
  return ApiClient.make(client)
})

describe("URLs", () => {
  for (
    const [baseUrl, seen] of [
      ["http://device", "device /ping"],
      ["http://device/", "device /ping"],
      ["http://device:8080/v1", "device:8080 /v1/ping"],
      ["/v1", "peer.invalid /v1/ping"]
    ] as const
  ) {
    it.effect(`paths of calls are appended to the base URL ${baseUrl}`, () =>
      Effect.gen(function*() {
        const httpClient = yield* client
        const typed = yield* HttpApiClient.makeWith(Api, { httpClient, baseUrl })
        assert.strictEqual(yield* typed.ping(), seen)
        const prefixed = HttpClient.mapRequest(httpClient, HttpClientRequest.prependUrl(baseUrl))
        assert.strictEqual(yield* (yield* prefixed.get("/ping")).json, seen)
      }))
  }

  it.effect("a call takes a path alone, or a whole URL unchanged", () =>
    Effect.gen(function*() {
      const httpClient = yield* client
      assert.strictEqual(yield* (yield* httpClient.get("/ping?a=1")).json, "peer.invalid /ping?a=1")
      assert.strictEqual(yield* (yield* httpClient.get("https://other:1/x")).json, "other:1 /x")
      for (const query of ["?to=http://peer.invalid/b", "?to=http://x/http://peer.invalid/b"]) {
        assert.strictEqual(yield* (yield* httpClient.get(`/a${query}`)).json, `peer.invalid /a${query}`)
        assert.strictEqual(yield* (yield* httpClient.get(`https://x/a${query}`)).json, `x /a${query}`)
      }
    }))

  for (
    const [title, map, given, seen] of [
      ["no path at all", undefined, "", "/"],
      ["a query alone", undefined, "?a=1", "/?a=1"],
      ["a fragment alone", undefined, "#a", "/"],
      ["a path without a slash", undefined, "todos/1?a=/b", "/todos/1?a=/b"],
      ["a star", undefined, "*", "/*"],
      ["two slashes at the beginning", undefined, "//other/x", "//other/x"],
      ["a path with a colon", undefined, "/a:b", "/a:b"],
      ["setUrl", HttpClientRequest.setUrl("/x"), "/ping", "/x"],
      ["setUrl without a slash", HttpClientRequest.setUrl("x?y=z"), "/ping", "/x?y=z"],
      ["setUrl with nothing", HttpClientRequest.setUrl(""), "/ping", "/"],
      ["prependUrl", HttpClientRequest.prependUrl("/api"), "/ping", "/api/ping"],
      ["prependUrl without a slash", HttpClientRequest.prependUrl("api"), "ping", "/api/ping"],
      ["prependUrl before nothing", HttpClientRequest.prependUrl("/rpc"), "", "/rpc/"],
      [
        "prependUrl twice",
        (request: HttpClientRequest.HttpClientRequest) =>
          HttpClientRequest.prependUrl(HttpClientRequest.prependUrl(request, "/v1"), "/api"),
        "/ping",
        "/api/v1/ping"
      ],
      ["appendUrl", HttpClientRequest.appendUrl("/more"), "/ping", "/ping/more"],
      ["appendUrl behind nothing", HttpClientRequest.appendUrl("/rpc"), "", "/rpc"],
      ["updateUrl", HttpClientRequest.updateUrl((url) => `/api${url}`), "/ping", "/api/ping"],
      ["a parameter", HttpClientRequest.setUrlParam("a", "é"), "/ping?b=c", "/ping?b=c&a=%C3%A9"],
      ["parameters of nothing", HttpClientRequest.setUrlParam("a", "b"), "", "/?a=b"]
    ] as const
  ) {
    for (const traced of [false, true]) {
      it.effect(`${title} names a path of the peer${traced ? ", for traced calls too" : ""}`, () =>
        Effect.gen(function*() {
          const plain = yield* client
          const mapped = map === undefined ? plain : HttpClient.mapRequest(plain, map)
          const call = mapped.get(given)
          const response = yield* traced ? Effect.withSpan(call, "parent") : call
          assert.strictEqual(yield* response.json, `peer.invalid ${seen}`)
          assert.strictEqual(response.url, `http://peer.invalid${seen}`)
        }))
    }
  }

  it.effect("URLs of other schemes are refused as invalid", () =>
    Effect.gen(function*() {
      const httpClient = yield* client
      for (const url of ["mailto:x", "localhost:3000/x", "http://", "http://[/x", "data:,x"]) {
        const error = yield* Effect.flip(httpClient.get(url))
        assert.include(["InvalidUrlError", "EncodeError"], error.reason._tag, url)
      }
    }))

  it.effect("a typed endpoint without a base URL may be a star", () =>
    Effect.gen(function*() {
      class Any extends HttpApi.make("Any").add(
        HttpApiGroup.make("any", { topLevel: true }).add(HttpApiEndpoint.get("all", "*", { success: Schema.String }))
      ) {}
      const typed = yield* HttpApiClient.makeWith(Any, { httpClient: yield* client })
      assert.strictEqual(yield* typed.all(), "peer.invalid /*")
    }))

  it.effect("the scope of a call interrupts the call, with and without a base URL", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      for (const base of [undefined, "http://device/api"]) {
        const interrupted = yield* Deferred.make<void>()
        yield* Layer.build(
          HttpRouter.serve(
            HttpRouter.add(
              "GET",
              "*",
              Effect.succeed(HttpServerResponse.stream(
                Stream.concat(Stream.make(new Uint8Array(1)), Stream.never).pipe(
                  Stream.ensuring(Deferred.succeed(interrupted, undefined))
                )
              ))
            ),
            { disableLogger: true, disableListenLog: true }
          ).pipe(Layer.provide(ApiServer.layerConnection(server)))
        )
        const plain = ApiClient.make(client)
        const mapped = HttpClient.withScope(
          base === undefined ? plain : HttpClient.mapRequest(plain, HttpClientRequest.prependUrl(base))
        )
        yield* Effect.scoped(mapped.get("/open"))
        yield* Deferred.await(interrupted)
      }
    }))

  it.effect("Effect's HTTP client follows redirects from a path", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(
        HttpRouter.serve(
          Layer.mergeAll(
            HttpRouter.add("GET", "/a/old", HttpServerResponse.empty({ status: 302, headers: { location: "new" } })),
            HttpRouter.add("GET", "/a/new", HttpServerResponse.text("here"))
          ),
          { disableLogger: true, disableListenLog: true }
        ).pipe(Layer.provide(ApiServer.layerConnection(server)))
      )
      const following = HttpClient.followRedirects(ApiClient.make(client))
      assert.strictEqual(yield* (yield* following.get("/a/old")).text, "here")
    }))

  it.effect("Effect RPC works below a path", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SwaggerSocketTest.makePair()
      class Rpcs extends RpcGroup.make(
        Rpc.make("double", { payload: { n: Schema.Number }, success: Schema.Number })
      ) {}
      yield* Layer.build(
        HttpRouter.serve(
          RpcServer.layer(Rpcs).pipe(
            Layer.provide(Rpcs.toLayer({ double: ({ n }) => Effect.succeed(n * 2) })),
            Layer.provideMerge(RpcServer.layerProtocolHttp({ path: "/rpc" }))
          ),
          { disableLogger: true, disableListenLog: true }
        ).pipe(Layer.provide(ApiServer.layerConnection(server)), Layer.provide(RpcSerialization.layerNdjson))
      )
      const context = yield* Layer.build(
        RpcClient.layerProtocolHttp({ url: "/rpc" }).pipe(
          Layer.provide(ApiClient.layerConnection(client)),
          Layer.provide(RpcSerialization.layerNdjson)
        )
      )
      const rpc = yield* Effect.provide(RpcClient.make(Rpcs), context)
      assert.strictEqual(yield* rpc.double({ n: 21 }), 42)
    }))

  it("targets are normalised as the WHATWG URL parser does, with and without parameters", () => {
    const segments = [
      "a",
      ".",
      "..",
      "%2e",
      ".%2E",
      "...",
      "",
      "%2F",
      "a b",
      "é",
      "a\\b",
      "'",
      "\"",
      "|",
      "^",
      "{}",
      "%zz",
      "[x]"
    ]
    const queries = ["", "?", "?a=b", "?a=../..", "?'", "?\"", "?é", "?a b", "?[x]", "?^|", "?a?b", "#?x"]
    const hosts = [
      "http://h",
      "https://h.example:8080",
      "http://H.x",
      "http://h:80",
      "https://h:443",
      "http://127.1",
      "http://h:00080"
    ]
    for (const host of hosts) {
      for (const first of segments) {
        for (const second of segments) {
          for (const query of queries) {
            const url = `${host}/${first}/${second}${query}`
            const expected = new URL(url)
            const parsed = parse(HttpClientRequest.get(url))
            if ("_tag" in parsed) return assert.fail(url)
            assert.deepStrictEqual({ url: parsed.url, authority: parsed.authority, target: parsed.target }, {
              url: expected.href.replace(/#.*/, ""),
              authority: expected.host,
              target: expected.href.slice(expected.origin.length).replace(/#.*/, "")
            }, url)
          }
        }
      }
    }
  })
})

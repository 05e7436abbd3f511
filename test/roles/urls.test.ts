import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
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
import * as Schema from "effect/Schema"

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
    it.effect(`paths may be put behind ${baseUrl}`, () =>
      Effect.gen(function*() {
        const httpClient = yield* client
        const typed = yield* HttpApiClient.makeWith(Api, { httpClient, baseUrl })
        assert.strictEqual(yield* typed.ping(), seen)
        const prefixed = HttpClient.mapRequest(httpClient, HttpClientRequest.prependUrl(baseUrl))
        assert.strictEqual(yield* (yield* prefixed.get("/ping")).json, seen)
      }))
  }

  it.effect("a path is enough, and a whole URL is taken as it is", () =>
    Effect.gen(function*() {
      const httpClient = yield* client
      assert.strictEqual(yield* (yield* httpClient.get("/ping?a=1")).json, "peer.invalid /ping?a=1")
      assert.strictEqual(yield* (yield* httpClient.get("https://other:1/x")).json, "other:1 /x")
      for (const query of ["?to=http://peer.invalid/b", "?to=http://x/http://peer.invalid/b"]) {
        assert.strictEqual(yield* (yield* httpClient.get(`/a${query}`)).json, `peer.invalid /a${query}`)
        assert.strictEqual(yield* (yield* httpClient.get(`https://x/a${query}`)).json, `x /a${query}`)
      }
    }))
})

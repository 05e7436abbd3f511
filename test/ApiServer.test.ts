/**
 * Layers in one graph: what is provided to one part stays with it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Heartbeat from "effect-swaggersocket/Heartbeat"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"

class Info extends Schema.Class<Info>("Info")({ name: Schema.String }) {}
class Peers extends SwaggerSocketServer.Service<Peers>()("test/Peers", { metadata: Info }) {}

const quiet = { disableLogger: true, disableListenLog: true } as const
const route = (path: `/${string}`, text: string) => HttpRouter.add("GET", path, HttpServerResponse.text(text))

describe("layers", () => {
  it.live("an API on connections does not answer on the HTTP server that accepts them, nor the server's API on them", () =>
    Effect.gen(function*() {
      const url = NetAddress.formatUrlUnsafe((yield* HttpServer.HttpServer).address)
      const plain = yield* Effect.provide(HttpClient.get(`${url}/secret`), FetchHttpClient.layer)
      assert.strictEqual(plain.status, 404)
      const answers = yield* Effect.flatMap(
        HttpClient.HttpClient,
        (client) =>
          Effect.all([
            Effect.flatMap(client.get("/secret"), (response) => response.text),
            Effect.map(client.get("/public"), (response) => response.status)
          ])
      ).pipe(Effect.provide(
        ApiClient.layer.pipe(
          Layer.provide(
            SwaggerSocketClient.layer({ url: `${url.replace("http", "ws")}/socket`, metadata: { name: "a" } })
          ),
          Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
        )
      ))
      assert.deepStrictEqual(answers, ["on connections only", 404])
    }).pipe(Effect.provide(
      HttpRouter.serve(route("/secret", "on connections only"), quiet).pipe(
        Layer.provide(ApiServer.layerServer(Peers)),
        Layer.provideMerge(
          HttpRouter.serve(Layer.merge(Peers.layer({ path: "/socket" }), route("/public", "public")), quiet)
        ),
        Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
      )
    )))

  it.effect("two clients in one graph serve and call their own connection", () => {
    const device = (name: string) =>
      HttpRouter.serve(route("/name", name), quiet).pipe(
        Layer.provide(ApiServer.layer),
        Layer.provide(SwaggerSocketTest.layerClient(Peers, { metadata: { name } }))
      )
    return Effect.gen(function*() {
      const peers = yield* Peers
      for (const name of ["a", "b"]) {
        const connection = yield* peers.awaitConnection(({ metadata }) => metadata.name === name)
        const response = yield* ApiClient.make(connection).get("/name")
        assert.strictEqual(yield* response.text, name)
      }
    }).pipe(Effect.provide(Layer.mergeAll(device("a"), device("b")).pipe(Layer.provideMerge(Peers.layerNoRoute({})))))
  })

  it.effect("a heartbeat provided to a server is the one of its connections, whatever layers surround the requests", () => {
    let beats = 0
    const counted = Layer.succeed(Heartbeat.Heartbeat, () => {
      beats++
      return Effect.succeed({ run: Effect.never, onPing() {}, onPong() {} })
    })
    return Effect.gen(function*() {
      yield* (yield* Peers).awaitConnection()
      assert.strictEqual(beats, 1)
    }).pipe(Effect.provide(
      SwaggerSocketTest.layerClient(Peers, { metadata: { name: "a" } }).pipe(
        Layer.provideMerge(Peers.layerNoRoute({}).pipe(Layer.provide(counted)))
      )
    ))
  })

  it.effect("a handler reads its caller's metadata with the types of its server", () =>
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const response = yield* client.get("/me")
      assert.strictEqual(yield* response.text, "ada")
    }).pipe(Effect.provide(
      Layer.merge(
        ApiClient.layer,
        HttpRouter.serve(
          HttpRouter.add(
            "GET",
            "/me",
            Effect.map(Peers.current, ({ metadata }) => HttpServerResponse.text(metadata.name))
          ),
          quiet
        ).pipe(Layer.provide(ApiServer.layerServer(Peers)))
      ).pipe(Layer.provide(SwaggerSocketTest.layer(Peers, { metadata: { name: "ada" } })))
    )))
})

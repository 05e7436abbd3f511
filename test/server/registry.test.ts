/**
 * The connections of a server: how they are found, and who their peers are.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as Handshake from "effect-swaggersocket/Handshake"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { device, DeviceInfo, Devices } from "../support/devices.ts"

describe("registry", () => {
  it.effect("the registry finds connections by id, by metadata, and lists all of them", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      yield* device("a")
      yield* device("b")
      const b = yield* devices.awaitConnection((connection) => connection.metadata.name === "b")
      assert.isTrue(b.metadata instanceof DeviceInfo)
      assert.isTrue(b.metadata.since instanceof Date)
      assert.strictEqual(yield* devices.connection(b.id), b)
      assert.deepStrictEqual(yield* devices.find((connection) => connection.metadata.name === "b"), Option.some(b))
      assert.deepStrictEqual(yield* devices.find(() => false), Option.none())
      assert.deepStrictEqual((yield* devices.connections).map(({ metadata }) => metadata.name), ["a", "b"])
      assert.deepStrictEqual(yield* devices.filter((connection) => connection.id === b.id), [b])
      const error = yield* Effect.flip(devices.connection("nobody"))
      assert.deepInclude(error.reason, { _tag: "ConnectionNotFound", connectionId: "nobody" })
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("the registry's changes start with the present connections and follow each change", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      const sizes = yield* Queue.unbounded<number>()
      yield* Effect.forkChild(
        Stream.runForEach(devices.changes, (connections) => Queue.offer(sizes, connections.length)),
        { startImmediately: true }
      )
      assert.strictEqual(yield* Queue.take(sizes), 0)
      const scope = yield* Scope.make()
      yield* Scope.provide(device("a"), scope)
      assert.strictEqual(yield* Queue.take(sizes), 1)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.strictEqual(yield* Queue.take(sizes), 0)
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))

  it.effect("two servers in one process do not see each other's connections", () =>
    Effect.gen(function*() {
      class Others extends SwaggerSocketServer.Service<Others>()("test/Others") {}
      const context = yield* Layer.build(Others.layerNoRoute({}))
      yield* device("a")
      const devices = yield* Devices
      yield* devices.awaitConnection()
      assert.strictEqual(
        (yield* Effect.provideContext(Effect.flatMap(Others, (_) => _.connections), context)).length,
        0
      )
    }).pipe(Effect.provide(Devices.layerNoRoute({}))))
})

describe("caller", () => {
  class Agents extends SwaggerSocketServer.Service<Agents, { readonly user: string }>()("test/Agents") {}

  const server = Agents.layerNoRoute({
    authenticate: ({ headers }) =>
      headers.authorization === "Bearer secret"
        ? Effect.succeed({ user: "ada" })
        : Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "no token" }))
  })

  it.effect("the principal that authenticate returned reaches handlers and the registry", () =>
    Effect.gen(function*() {
      const agents = yield* Agents
      const seen = yield* agents.awaitConnection()
      assert.deepStrictEqual(seen.principal, { user: "ada" })
      yield* Layer.build(Layer.provide(
        HttpServer.serve(Effect.map(Connection.current, (connection) =>
          HttpServerResponse.jsonUnsafe({ metadata: connection.metadata, principal: connection.principal }))),
        ApiServer.layerServer(Agents)
      ))
      const client = yield* Effect.provide(Effect.service(HttpClient.HttpClient), ApiClient.layer)
      const response = yield* client.get("/")
      assert.deepStrictEqual(yield* response.json, { metadata: { name: "m" }, principal: { user: "ada" } })
    }).pipe(Effect.provide(
      SwaggerSocketTest.layerClient(Agents, {
        metadata: { name: "m" },
        headers: { authorization: "Bearer secret" }
      }).pipe(Layer.provideMerge(server))
    )))

  it.effect("code outside of a connection has no current connection", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* Connection.currentOption))
    }))
})

/**
 * `Connection`: which close codes are the application's, and whose connection a handler sees.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

describe("Connection.close", () => {
  for (
    const [whose, codes] of [
      ["WebSockets do not allow", [42, 1001, 1006, 2999, 5000, 3000.5, Number.NaN]],
      ["means something to the wire", [4000, 4001, 4015, 4016, 4099, 4100, 4109, 4112, 4113, 4199]]
    ] as const
  ) {
    // PROTOCOL.md ERR-5
    it.effect(`a code that ${whose} makes Connection.close die with a RangeError, and the connection stays open`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        for (const end of [client, server]) {
          for (const drain of [false, true]) {
            for (const code of codes) {
              const exit = yield* Effect.exit(end.close({ code, drain }))
              const isTold = Exit.isFailure(exit) &&
                exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect instanceof RangeError)
              assert.isTrue(isTold, `${code}`)
            }
          }
          assert.strictEqual(yield* end.status, "open")
        }
      }))
  }

  it.live("codes of the application arrive at the peer unchanged", () =>
    Effect.gen(function*() {
      for (const code of [1000, 3000, 3999, 4200, 4999]) {
        const { client, server } = yield* SwaggerSocketTest.makePair()
        yield* server.close({ code, reason: "enough" })
        assert.deepStrictEqual(yield* client.closed, { _tag: "Closed", initiator: "remote", code, reason: "enough" })
      }
    }))
})

describe("Connection.current", () => {
  class Devices extends SwaggerSocketServer.Service<Devices, string>()("test/current/Devices") {}

  const quiet = { disableLogger: true, disableListenLog: true } as const

  /** Answers whose connection a request came on. */
  const WhoAmI = HttpRouter.add(
    "GET",
    "/who",
    Effect.gen(function*() {
      const connection = yield* Connection.current
      const typed = yield* Devices.current
      assert.strictEqual(typed as Connection.Connection, connection)
      return HttpServerResponse.text(`${typed.principal} ${connection.id}`)
    })
  )

  it.effect("each request has the connection that it came on, also where several clients call at once", () =>
    Effect.gen(function*() {
      const devices = yield* Devices
      const call = Effect.fnUntraced(function*(name: string) {
        const client = Layer.fresh(SwaggerSocketTest.layerClient(Devices, { headers: { authorization: name } }))
        const context = yield* Layer.build(Layer.provideMerge(ApiClient.layer, client))
        const response = yield* Context.get(context, HttpClient.HttpClient).get("/who")
        const { id } = yield* Context.get(context, SwaggerSocketClient.SwaggerSocketClient).connection
        assert.strictEqual(yield* response.text, `${name} ${id}`)
      })
      yield* Effect.all([call("ada"), call("grace"), call("mary")], { concurrency: "unbounded" })
      assert.lengthOf(yield* devices.connections, 3)
    }).pipe(Effect.provide(
      HttpRouter.serve(WhoAmI, quiet).pipe(
        Layer.provide(ApiServer.layerServer(Devices)),
        Layer.provideMerge(Devices.layerNoRoute({
          authenticate: ({ headers }) => Effect.succeed(headers.authorization ?? "nobody")
        }))
      )
    )))

  it.live("currentOption is none for a request over plain HTTP, and some for one on a connection, of one and the same app", () =>
    Effect.gen(function*() {
      const app = HttpServer.serve(Effect.map(
        Connection.currentOption,
        (connection) => HttpServerResponse.text(Option.isSome(connection) ? connection.value.id : "none")
      ))
      const { client, server } = yield* SwaggerSocketTest.makePair()
      yield* Layer.build(Layer.provide(app, ApiServer.layerConnection(server)))
      assert.strictEqual(yield* (yield* ApiClient.make(client).get("/")).text, server.id)
      const http = yield* Layer.build(
        Layer.provideMerge(app, NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
      )
      const url = HttpServer.formatAddress(Context.get(http, HttpServer.HttpServer).address)
      const response = yield* Effect.provide(HttpClient.get(url), FetchHttpClient.layer)
      assert.strictEqual(yield* response.text, "none")
    }))
})

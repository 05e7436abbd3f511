/**
 * A hub that answers itself, and passes requests on to a device: before any handler, by a handler, and as an HTTP proxy does; or
 * that device: `relay.ts hub`, `relay.ts device <url>`.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import type * as Connection from "effect-swaggersocket/Connection"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { main, tell } from "../../support/child.ts"

class Hub extends SwaggerSocketServer.Service<Hub>()("Hub") {}

const quiet = { disableLogger: true, disableListenLog: true }

const device = Effect.flatMap(
  Hub,
  (hub) => Effect.map(hub.find(({ metadata }) => metadata === "device"), Option.getOrThrow)
)

const count = HttpRouter.add("GET", "/count", HttpServerResponse.text("1"))

const hub = Effect.gen(function*() {
  const routes = Layer.mergeAll(
    count,
    HttpRouter.add(
      "GET",
      "/relayed/*",
      (request) =>
        Effect.flatMap(device, (device) => Relay.to(device, { target: request.url.slice("/relayed".length) }))
    ),
    HttpRouter.add("GET", "/proxied/*", (request) =>
      Effect.flatMap(device, (device) =>
        ApiClient.make(device).execute(
          HttpClientRequest.setUrl(HttpServerRequest.toClientRequest(request), request.url.slice("/proxied".length))
        )).pipe(Effect.map(HttpServerResponse.fromClientResponse)))
  )
  const devices: Array<Connection.Connection> = []
  const splices = Layer.effectDiscard(Effect.gen(function*() {
    const hub = yield* Hub
    yield* Effect.forkScoped(Stream.runForEach(hub.changes, (connections) =>
      Effect.sync(() => {
        devices.splice(0, devices.length, ...connections.filter(({ metadata }) => metadata === "device"))
      })))
  })).pipe(
    Layer.merge(Relay.layerServer(Hub, ({ target }) =>
      target.startsWith("/spliced/")
        ? { connection: devices[0]!, target: target.slice("/spliced".length) }
        : undefined))
  )
  const context = yield* Layer.build(
    splices.pipe(
      Layer.provideMerge(Layer.provide(HttpRouter.serve(routes, quiet), ApiServer.layerServer(Hub))),
      Layer.provideMerge(HttpRouter.serve(Hub.layer({ path: "/socket" }), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ port: 0, host: "127.0.0.1" }))
    )
  )
  const server = yield* Effect.provide(HttpServer.HttpServer, context)
  yield* tell({
    type: "listening",
    url: `${NetAddress.formatUrlUnsafe(server.address).replace("http", "ws")}/socket`
  } as { readonly type: "listening" })
})

const serveDevice = (url: string) =>
  Effect.gen(function*() {
    const executed = new Map<string, number>()
    const routes = Layer.mergeAll(
      count,
      HttpRouter.add(
        "GET",
        "/once/:id",
        Effect.map(HttpRouter.params, ({ id }) => {
          executed.set(id!, (executed.get(id!) ?? 0) + 1)
          return HttpServerResponse.text(id!)
        })
      ),
      HttpRouter.add(
        "GET",
        "/executed",
        Effect.sync(() =>
          HttpServerResponse.jsonUnsafe({
            calls: executed.size,
            most: Math.max(...executed.values())
          })
        )
      )
    )
    yield* Layer.build(
      Layer.provide(HttpRouter.serve(routes, quiet), ApiServer.layer).pipe(
        Layer.provideMerge(SwaggerSocketClient.layer({ url, metadata: "device", waitForConnection: true })),
        Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
      )
    )
    yield* tell({ type: "serving" })
  })

const [role, url] = process.argv.slice(2)
main(role === "hub" ? hub : serveDevice(url!))

/**
 * Runs in a browser's shared worker: has the connection of all tabs, and answers the hub.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as Relay from "effect-swaggersocket/Relay"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"

const { Tabs } = BrowserSwaggerSocket

const Api = Layer.mergeAll(
  HttpRouter.add(
    "GET",
    "/tabs",
    Effect.gen(function*() {
      const tabs = yield* (yield* Tabs).connections
      return HttpServerResponse.jsonUnsafe(tabs.map(({ metadata }) => metadata))
    })
  ),
  // Asks a tab.
  HttpRouter.add(
    "GET",
    "/tabs/:name",
    Effect.gen(function*() {
      const { name } = yield* HttpRouter.params
      return yield* Relay.to(yield* (yield* Tabs).awaitConnection(({ metadata }) => metadata === name))
    })
  ),
  HttpRouter.add(
    "POST",
    "/end",
    Effect.sync(() => {
      globalThis.close()
      return HttpServerResponse.empty()
    })
  )
)

Effect.runFork(Layer.launch(
  HttpRouter.serve(Api, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(ApiServer.layer),
    Layer.provide(BrowserSwaggerSocket.layerTabs()),
    Layer.provide(SwaggerSocketClient.layer({ url: `ws://${location.host}/socket`, metadata: { kind: "shared" } })),
    Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor),
    Layer.provide(HttpServer.layerServices)
  )
))

/**
 * The HTTP semantics of requests that go on over HTTP/1.1, to Effect's own server of Node: by `fromNodeHandler` in this process,
 * and by `proxy` to a port. A run takes each case over one of them, `WHOLE=1` over both.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { createServer } from "node:http"
import { sharedOut } from "../support/extent.ts"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/node/forward/Peers") {}

const layerPeers = SwaggerSocketTest.layer(Peers)

/** What is served runs on Node's objects, in this process. */
const layerHandler = Layer.effect(
  HttpServer.HttpServer,
  Effect.map(HttpServer.HttpServer, (connections) =>
    HttpServer.make({
      address: connections.address,
      serve: (app, middleware) =>
        Effect.gen(function*() {
          const scope = yield* Effect.scope
          const handler = yield* NodeHttpServer.makeHandler(app, { scope, middleware: middleware as never })
          yield* connections.serve(NodeSwaggerSocket.fromNodeHandler(handler))
        })
    }))
)

/** The connection leads to a port, where what is served listens. */
const layerProxy = Layer.unwrap(
  Effect.map(
    HttpServer.HttpServer,
    ({ address }) =>
      NodeSwaggerSocket.layerProxy(NetAddress.formatUrlUnsafe(address)).pipe(
        Layer.provide(ApiServer.layerServer(Peers))
      )
  )
)

const rawResponse = "NodeHttpServer takes raw bodies that are strings, bytes or Node streams only"
const destroyed = "NodeHttpServer destroys the socket before the head has left, so the proxy answers 502"
const viewChunks = "streams of Node's HTTP take other chunks"

const skip = {
  "a value outside Latin-1 arrives as it is or is refused": "it is refused with 400, which test/node/forward shows",
  "a response that streams views of other kinds arrives as its bytes": viewChunks,
  "a raw Blob response is sent as it is": rawResponse,
  "a raw ReadableStream response is sent as it is": rawResponse,
  "a raw web Response keeps its body, a status and headers of its own": rawResponse,
  "a raw web Response that streams text arrives as UTF-8": rawResponse,
  "the head of a response arrives before the first chunk of its body":
    "NodeHttpServer does not flush the head before the first chunk"
}

const share = sharedOut(2)

HttpSemantics.suite(
  share(0, { describe, it }),
  "NodeHttpServer's handler on a connection",
  Layer.merge(Layer.provide(layerHandler, ApiServer.layerServer(Peers)), ApiClient.layer).pipe(
    Layer.provide(layerPeers),
    Layer.merge(NodeHttpServer.layerHttpServices)
  ),
  {
    skip: {
      ...skip,
      "the span of the server request names method, path, route and status": "each request has the spans of two servers"
    }
  }
)

HttpSemantics.suite(
  share(1, { describe, it }),
  "NodeHttpServer behind a proxy on a connection",
  Layer.merge(layerProxy, ApiClient.layer).pipe(
    Layer.provide(layerPeers),
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }))
  ),
  {
    skip: {
      ...skip,
      "a response shorter than its content-length makes the reader fail": destroyed,
      "a response longer than its content-length makes the reader fail or is cut there": destroyed
    }
  }
)

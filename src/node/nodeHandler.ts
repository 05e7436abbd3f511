/**
 * Apps of Node, which take a request and a response of `node:http`, served on connections.
 */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type { HttpServerError } from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Https from "node:https"
import * as Tls from "node:tls"
import * as forwarded from "../internal/http/forwarded.ts"
import { forward } from "./forward.ts"
import { makePair } from "./memorySocket.ts"

/**
 * What `fromNodeHandler` takes: a function of a request and a response, which the apps of Express and Connect are and those of
 * Koa (`app.callback()`) and Fastify (`app.routing`) have; or a server of `node:http` or `node:https` with all its listeners,
 * whether or not it listens.
 *
 * @since 0.1.0
 * @category models
 */
export type NodeHandler = Http.RequestListener | Http.Server | Https.Server

/** As the app's own server has it, if requests came over TCP: no head that fits the wire is too large. */
const maxHeaderSize = 64 * 1024

/**
 * Makes an HTTP app of a handler for Node's requests and responses, as `ApiServer.fromWebHandler` does of one for those of the
 * web. For connections only.
 *
 * **When to use**
 *
 * To serve an app that exists, say one of Express, to the other end of a connection, on all paths or on a route.
 *
 * **Details**
 *
 * Each request is read and answered by a server of `node:http`, over a socket in memory. So the app gets the requests and
 * responses that it gets over TCP, with all that they do:
 *
 * - bodies are streamed both ways, and both wait for their reader;
 * - a caller that gives up closes the socket, which `request` and `response` tell by `close`;
 * - a response that is destroyed before its end makes the caller fail: nobody takes a part of it for the whole;
 * - `request.socket` has the `remoteAddress` of the peer, and `encrypted` where its link is one of TLS. Its timeouts do nothing.
 *
 * A server that is given gets requests that ask for an upgrade as well, so that WebSockets work that are mounted on it. Fields with
 * text that HTTP/1.1 can't carry (beyond Latin-1) are answered 400. Trailers are not sent.
 *
 * **Example** (An app on a route of a device's API)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import type { RequestListener } from "node:http"
 *
 * declare const app: RequestListener // express(), for instance
 *
 * export const Device = HttpRouter.serve(
 *   HttpRouter.add("*", "/app/*", NodeSwaggerSocket.fromNodeHandler(app))
 * ).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNodeHandler = (
  handler: NodeHandler
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError,
  HttpServerRequest.HttpServerRequest | Scope.Scope
> => {
  // Node's own server reads the requests and writes the responses. Libraries that imitate its objects (light-my-request,
  // node-mocks-http) are for tests: they keep bodies in memory, or know no back-pressure, and no upgrades.
  const server = typeof handler === "function" ? Http.createServer({ maxHeaderSize }, handler) : handler
  const event = server instanceof Tls.Server ? "secureConnection" : "connection"
  return forward({
    connect({ isSecure, request }) {
      const [near, far] = makePair({
        remoteAddress: Option.getOrUndefined(request.remoteAddress),
        encrypted: isSecure
      })
      server.emit(event, far)
      return near
    },
    opened: undefined,
    openTimeout: undefined,
    answerTimeout: undefined,
    headers: {},
    // As over TCP: the handler has destroyed its response, which nobody can tell from a lost connection.
    failed: () =>
      Effect.succeed(forwarded.unanswered("the handler has closed its socket, or answered with a status that is none")),
    broken: () => Effect.void
  })
}

/**
 * Serves a handler for Node's requests and responses; see `fromNodeHandler`.
 *
 * **Example** (A device whose API is an app for Node)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 * import type { RequestListener } from "node:http"
 *
 * declare const app: RequestListener // express(), for instance
 *
 * export const Device = NodeSwaggerSocket.layerNode(app).pipe(
 *   Layer.provide(ApiServer.layer),
 *   Layer.provide(SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNode = (handler: NodeHandler): Layer.Layer<never, never, HttpServer.HttpServer> =>
  HttpServer.serve(fromNodeHandler(handler))

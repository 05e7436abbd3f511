/**
 * What Node adds: the `ws` WebSocket for clients, and an HTTP server with settings that suit long-lived sockets.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as NodeServices from "@effect/platform-node/NodeServices"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import * as Http from "node:http"
import { PlatformAdvice } from "../internal/client/advice.ts"
import { readConfig } from "../internal/config/readConfig.ts"
import * as Limits from "../Limits.ts"
import * as Quotas from "../Quotas.ts"
import { nodeAdvice } from "./advice.ts"
import { answering, Responses } from "./shutdown.ts"
import { lineUp, makeLine } from "./upgradeLine.ts"
import { webSocketOf, webSocketOptions } from "./wireWebSocket.ts"

export { toAgent, toConnector } from "./agent.ts"
export type { Connector, Target } from "./agent.ts"
export { attach, layerAttach } from "./attach.ts"
export type { AttachableServer, AttachOptions } from "./attach.ts"
export { fromNodeHandler, layerNode } from "./nodeHandler.ts"
export type { NodeHandler } from "./nodeHandler.ts"
export { layerProxy, proxy } from "./proxy.ts"
export type { Pem, ProxyOptions, ProxyTls } from "./proxy.ts"
export { tcp } from "./tcp.ts"
export type { TcpAddress } from "./tcp.ts"

/**
 * The WebSocket of `ws`, for clients: works on every version of Node, sends header fields, and reports how much waits
 * to be sent.
 *
 * **Details**
 *
 * It has the limits of `Limits.layer`, or the defaults: `maxMessageSize`, `maxHandshakeSize`, `messageTimeout`,
 * `closeTimeout` and `v1MaxMessageSize`. Where a client has other ones in its option `limits`, provide them here, too.
 *
 * **Example** (A client that takes larger messages)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Limits from "effect-swaggersocket/Limits"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 *
 * export const Client = SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" }).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor),
 *   Layer.provide(Limits.layer({ maxMessageSize: 1024 * 1024 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
// `Layer.fresh` around all of it: each client has limits of its own, and what is around a fresh layer is built once for all.
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> = Layer.fresh(Layer.merge(
  Layer.succeed(PlatformAdvice, nodeAdvice),
  Layer.effect(
    Socket.WebSocketConstructor,
    Effect.map(Limits.Limits, (limits) => {
      const options = webSocketOptions(limits)
      const WebSocket = webSocketOf(limits)
      return (url, given) =>
        new WebSocket(
          url,
          given === undefined || typeof given === "string" || Array.isArray(given) ? given : given.protocols,
          given === undefined || typeof given === "string" || Array.isArray(given)
            ? options
            : { ...options, headers: given.headers }
        ) as unknown as Socket.WebSocketLike
    })
  )
))

/**
 * Where an HTTP server listens, how it is made, and its limits. The options of `net.Server.listen` are named one by one, so that
 * they are known without `@types/node` as well.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerOptions {
  /** The port. 0, or none: any that is free. */
  readonly port?: number | undefined
  /** The address of this machine to listen on. Default: all. */
  readonly host?: string | undefined
  /** A Unix socket to listen on, instead of a port. */
  readonly path?: string | undefined
  /** How many TCP connections may wait to be accepted. Default 511. */
  readonly backlog?: number | undefined
  /** Whether processes of a cluster don't share the port. Default `false`. */
  readonly exclusive?: boolean | undefined
  /** Whether `::` stands for IPv6 alone. Default `false`. */
  readonly ipv6Only?: boolean | undefined
  /** Whether other sockets may listen on the same port, where the system shares it out. Default `false`. */
  readonly reusePort?: boolean | undefined
  /** Whether all users may read the Unix socket. Default `false`. */
  readonly readableAll?: boolean | undefined
  /** Whether all users may write to the Unix socket. Default `false`. */
  readonly writableAll?: boolean | undefined
  /** Closes the server when it is aborted. */
  readonly signal?: AbortSignal | undefined
  /**
   * Makes the server, which must not serve anything yet. Default `node:http`'s `createServer`. For one that does, say an
   * Express app's, there is `attach`.
   */
  readonly createServer?: (() => Http.Server) | undefined
  /** Should be those of the SwaggerSocket servers on it. Default: those of `Limits.layer`, as these servers have. */
  readonly limits?: Limits.Options | undefined
  /** Should be those of the SwaggerSocket servers on it. Default: those of `Quotas.layer`, as these servers have. */
  readonly quotas?: Quotas.Options | undefined
}

/** It would answer each request twice, and this package answers before others can. */
const isInUse = (server: Http.Server): boolean =>
  server.listening || server.listenerCount("request") > 0 || server.listenerCount("upgrade") > 0

const inUse = () =>
  new Error("`createServer` gave a server that is in use: mount on it with `NodeSwaggerSocket.attach` instead")

/**
 * `NodeHttpServer.layer` with settings for long-lived sockets: messages above the limit are refused while they arrive,
 * and closing the server does not wait for open connections to end by themselves, which they never do.
 *
 * **Details**
 *
 * When an app on it closes, ordinary HTTP requests in progress may finish within `Limits.drainTimeout`, and new ones
 * get 503. WebSockets are released once no handler of an ordinary request runs any more: it may still call connected
 * clients.
 *
 * **Example** (A hub)
 *
 * ```ts
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" })).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServer({ port: 3000 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpServer = (
  options: ServerOptions
): Layer.Layer<
  HttpServer.HttpServer | NodeServices.NodeServices | HttpPlatform.HttpPlatform | Etag.Generator,
  HttpServerError.ServeError
> => {
  const { createServer = () => Http.createServer(), limits: given, quotas: givenQuotas, ...listen } = options
  return Layer.unwrap(Effect.gen(function*() {
    const limits = Limits.make(given, yield* Limits.Limits)
    const quotas = Quotas.make(givenQuotas, yield* Quotas.Quotas)
    const server = createServer()
    if (isInUse(server)) return yield* new HttpServerError.ServeError({ cause: inUse() })
    lineUp(server, yield* makeLine(quotas, "layerHttpServer"))
    const responses = new Responses(server)
    // While the server closes no handler is there: a client that dials now would wait for an answer that never comes.
    const hangUp = Layer.effectDiscard(Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
    ))
    const answers = Layer.effect(
      HttpServer.HttpServer,
      Effect.map(HttpServer.HttpServer, (inner) => answering(inner, responses, limits.drainTimeout))
    )
    return Layer.merge(answers, hangUp).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(() => server, {
          ...listen,
          disablePreemptiveShutdown: true,
          websocket: { ...webSocketOptions(limits), WebSocket: webSocketOf(limits) }
        })
      )
    )
  }))
}

/**
 * `layerHttpServer` with options that are read from the configuration of the program. A value that is missing or out of
 * range is a `ConfigError`.
 *
 * **Example** (A hub on a port of the environment)
 *
 * ```ts
 * import * as Config from "effect/Config"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Hub = HttpRouter.serve(Devices.layer({ path: "/socket" })).pipe(
 *   Layer.provide(NodeSwaggerSocket.layerHttpServerConfig({
 *     port: Config.Port("PORT").pipe(Config.withDefault(3000))
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpServerConfig = (
  options: Config.Wrap<ServerOptions>
): Layer.Layer<
  HttpServer.HttpServer | NodeServices.NodeServices | HttpPlatform.HttpPlatform | Etag.Generator,
  HttpServerError.ServeError | Config.ConfigError
> =>
  Layer.unwrap(
    Effect.flatMap(Effect.all([Limits.Limits, Quotas.Quotas]), ([limits, quotas]) =>
      readConfig(
        options,
        (options) =>
          layerHttpServer({
            ...options,
            limits: Limits.make(options.limits, limits),
            quotas: Quotas.make(options.quotas, quotas)
          })
      ))
  )

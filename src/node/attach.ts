/**
 * SwaggerSocket servers on HTTP servers that exist already.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type * as Http from "node:http"
import type * as Http2 from "node:http2"
import type * as Net from "node:net"
import * as WS from "ws"
import * as Limits from "../Limits.ts"
import * as Quotas from "../Quotas.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"
import { type Mount, mountsOf } from "./mounts.ts"
import { refuseUpgrade } from "./shutdown.ts"
import { makeLine } from "./upgradeLine.ts"
import { webSocketOf, webSocketOptions } from "./wireWebSocket.ts"

/**
 * A server that `attach` takes: one of `node:http` or `node:https`, whatever answers its requests, or one of HTTP/2 with
 * `allowHTTP1`, over which WebSockets come as HTTP/1.1.
 *
 * @since 0.1.0
 * @category models
 */
export type AttachableServer = Http.Server | Http2.Http2SecureServer

/**
 * Where on an HTTP server connections are accepted, and the limits of their links.
 *
 * @since 0.1.0
 * @category models
 */
export interface AttachOptions {
  /** The path of the WebSocket, such as `/socket`: it is compared with that of each upgrade request, character by character. */
  readonly path: `/${string}`
  /** Should be those of the SwaggerSocket server. Default: those of `Limits.layer`, as that server has. */
  readonly limits?: Limits.Options | undefined
  /** Should be those of the SwaggerSocket server. Default: those of `Quotas.layer`, as that server has. */
  readonly quotas?: Quotas.Options | undefined
}

/** Ends when the WebSockets have closed, which `closeTimeout` of the limits bounds. */
const closed = (webSockets: WS.WebSocketServer): Effect.Effect<void> =>
  Effect.callback((resume) => webSockets.close(() => resume(Effect.void)))

/**
 * Mounts a SwaggerSocket server on a path of an HTTP server that exists already, as long as the scope is open.
 *
 * **When to use**
 *
 * Where an HTTP server is there and serves something: an Express, Fastify, Nest or Koa app, Next with a server of its own, or
 * plain `node:http`. A new server is made by `layerHttpServer`.
 *
 * **Details**
 *
 * - Upgrade requests for the path are taken; other listeners of the server don't see them. All other requests and upgrades are
 *   left as they were, also those that ask for an upgrade and have no listener.
 * - The server may listen already, or later, or be attached to several times. Of several servers on one path the last one
 *   answers, while its scope is open.
 * - Nothing else is changed: who may connect, as whom, and with what limits is up to the service.
 *
 * When the scope closes, new clients are answered 503, and connections are drained: calls in progress may go on for
 * `Limits.drainTimeout`. Then the server is as it was before. Close the scope before the server: the callback of its `close`
 * waits for WebSockets, too.
 *
 * **Example** (A hub beside an app)
 *
 * ```ts
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as Effect from "effect/Effect"
 * import { createServer, type RequestListener } from "node:http"
 *
 * declare const app: RequestListener // express(), for instance
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * const server = createServer(app).listen(3000)
 *
 * export const program = Effect.gen(function*() {
 *   yield* NodeSwaggerSocket.attach(server, Devices, { path: "/socket" })
 *   const devices = yield* Devices
 *   yield* Effect.log("connected", (yield* devices.awaitConnection()).id)
 * }).pipe(Effect.scoped, Effect.provide(Devices.layerNoRoute({})))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = Effect.fnUntraced(function*<I, M, P>(
  server: AttachableServer,
  service: Context.Service<I, SwaggerSocketServer<M, P>>,
  options: AttachOptions
): Effect.fn.Return<void, never, I | Scope.Scope> {
  const limits = Limits.make(options.limits, yield* Limits.Limits)
  const quotas = Quotas.make(options.quotas, yield* Quotas.Quotas)
  const { upgrade } = yield* service
  const takeTurn = yield* makeLine(quotas, "attach")
  const webSockets = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new WS.WebSocketServer({ ...webSocketOptions(limits), WebSocket: webSocketOf(limits), noServer: true })
    ),
    closed
  )
  const handlers = yield* Scope.make("parallel")
  const handle = yield* NodeHttpServer.makeUpgradeHandler(Effect.succeed(webSockets), upgrade, { scope: handlers })
  let isLeaving = false
  const mount: Mount = {
    path: options.path,
    take: (request, socket, head) =>
      takeTurn(socket as Net.Socket, () => {
        if (isLeaving) refuseUpgrade(socket)
        else handle(request, socket, head)
        return true
      })
  }
  const mounts = mountsOf(server)
  yield* Effect.acquireRelease(
    Effect.sync(() => mounts.add(mount)),
    (_, exit) => {
      // Until connections are drained, clients that dial have to be refused: without the mount they would be told that there is
      // no such path.
      isLeaving = true
      return Effect.ensuring(Scope.close(handlers, exit), Effect.sync(() => mounts.delete(mount)))
    }
  )
})

/**
 * `attach`, as a layer.
 *
 * **Example** (A hub on the server of an app)
 *
 * ```ts
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as Layer from "effect/Layer"
 * import { createServer, type RequestListener } from "node:http"
 *
 * declare const app: RequestListener // express(), for instance
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const Hub = NodeSwaggerSocket.layerAttach(createServer(app).listen(3000), Devices, { path: "/socket" }).pipe(
 *   Layer.provideMerge(Devices.layerNoRoute({}))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttach = <I, M, P>(
  server: AttachableServer,
  service: Context.Service<I, SwaggerSocketServer<M, P>>,
  options: AttachOptions
): Layer.Layer<never, never, I> => Layer.effectDiscard(attach(server, service, options))

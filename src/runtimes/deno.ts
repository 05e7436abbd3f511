/**
 * Connections on Deno: a SwaggerSocket server behind `Deno.serve`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { layerWithFields } from "../internal/link/platformConstructor.ts"
import { type EventWebSocket, followEvents } from "../internal/link/webSocketEvents.ts"
import * as FetchAcceptor from "../internal/server/fetchAcceptor.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"

/**
 * What `Deno.serve` tells of a request besides: who has sent it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServeInfo {
  /** Its `hostname` is the address of the client, where there is one. */
  readonly remoteAddr: { readonly transport: string }
}

/**
 * A hub: what `createHub` of `effect-swaggersocket/promise` gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptingHub<M, P> {
  /** The server, for programs with Effect. */
  readonly effect: SwaggerSocketServer<M, P>
}

/**
 * Answers the upgrade requests of clients. Without `info` addresses are not known, and no quota of addresses holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accept {
  (request: Request, info?: ServeInfo): Promise<Response>
}

/** What is used of the global `Deno`. */
interface DenoNamespace {
  readonly upgradeWebSocket: (
    request: Request,
    options: { readonly protocol?: string | undefined }
  ) => { readonly socket: EventWebSocket; readonly response: Response }
}

const handler = (accept: FetchAcceptor.FetchAcceptor): Accept => {
  const { Deno: deno } = globalThis as { readonly Deno?: DenoNamespace }
  if (deno === undefined) throw new TypeError("effect-swaggersocket/deno: this program does not run on Deno")
  return (request, info) =>
    accept(request, {
      remoteAddress: Predicate.hasProperty(info?.remoteAddr, "hostname") ? String(info.remoteAddr.hostname) : undefined,
      upgrade(webSocket, protocol) {
        const { response, socket } = deno.upgradeWebSocket(request, protocol === undefined ? {} : { protocol })
        followEvents(socket, webSocket)
        return response
      }
    })
}

/**
 * Accepts clients for a SwaggerSocket server in a handler of `Deno.serve`, as long as the scope is open.
 *
 * **Details**
 *
 * The function that it gives answers requests as the server on Node does: those that are no upgrade with 426, pages of other origins
 * with 403, other hosts with 421, and whoever is beyond a quota with 429 or 503. Which paths it is called for is up to the handler.
 *
 * When the scope closes, new clients are answered 503, and connections are drained: calls in progress may go on for
 * `Limits.drainTimeout`. Where it runs elsewhere than on Deno it dies with a `TypeError`.
 *
 * **Example** (A hub beside an app)
 *
 * ```ts
 * import * as DenoSwaggerSocket from "effect-swaggersocket/deno"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * declare const app: (request: Request) => Promise<Response>
 *
 * const Served = Layer.effectDiscard(Effect.gen(function*() {
 *   const accept = yield* DenoSwaggerSocket.accept(Devices)
 *   yield* Effect.acquireRelease(
 *     Effect.sync(() =>
 *       Deno.serve({ port: 3000 }, (request, info) =>
 *         new URL(request.url).pathname === "/socket" ? accept(request, info) : app(request))
 *     ),
 *     (server) => Effect.promise(() => server.shutdown())
 *   )
 * }))
 *
 * export const Hub = Served.pipe(Layer.provideMerge(Devices.layerNoRoute({})))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = <I, M, P>(
  service: Context.Service<I, SwaggerSocketServer<M, P>>
): Effect.Effect<Accept, never, I | Scope.Scope> => Effect.map(Effect.flatMap(service, FetchAcceptor.make), handler)

/**
 * The WebSocket of Deno, for clients. Unlike that of pages it sends header fields.
 *
 * **Example** (A device)
 *
 * ```ts
 * import * as DenoSwaggerSocket from "effect-swaggersocket/deno"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Device = SwaggerSocketClient.layer({
 *   url: "wss://hub.example.com/socket",
 *   headers: { authorization: "Bearer open sesame" }
 * }).pipe(Layer.provide(DenoSwaggerSocket.layerWebSocketConstructor))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> = layerWithFields

/**
 * `accept` without Effect: accepts clients for a hub of `createHub`, until that is closed.
 *
 * **Example** (A hub)
 *
 * ```ts
 * import { createHub } from "effect-swaggersocket/promise"
 * import { acceptHub } from "effect-swaggersocket/deno"
 *
 * const hub = await createHub()
 *
 * hub.serve(() => new Response(new Date().toISOString()))
 *
 * const accept = acceptHub(hub)
 *
 * Deno.serve({ port: 3000 }, accept)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const acceptHub = <M, P>(hub: AcceptingHub<M, P>): Accept => handler(FetchAcceptor.ofHub(hub))

/**
 * Connections on Cloudflare Workers: a SwaggerSocket server in a Durable Object.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { copied, type EventWebSocket, followEvents } from "../internal/link/webSocketEvents.ts"
import { endTurnsAtOnce } from "../internal/scheduling/eventLoop.ts"
import * as FetchAcceptor from "../internal/server/fetchAcceptor.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"

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
 * Answers the upgrade requests of clients.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accept {
  (request: Request): Promise<Response>
}

/** What is used of the global scope of a Worker. */
interface WorkersGlobal {
  readonly WebSocketPair?: new() => {
    readonly 0: WebSocket
    readonly 1: EventWebSocket & { accept(): void }
  }
}

/** Has a WebSocket send copies. */
const withCopies = <S extends { send(message: string | Uint8Array<ArrayBuffer>): void }>(socket: S): S => {
  const send = socket.send.bind(socket)
  socket.send = (message) => send(copied(message))
  return socket
}

/** Adds the WebSocket of the client to the options of a `Response`. */
const switching = (webSocket: WebSocket, protocol: string | undefined): ResponseInit & { webSocket: WebSocket } => ({
  status: 101,
  headers: protocol === undefined ? {} : { "sec-websocket-protocol": protocol },
  webSocket
})

const handler = (accept: FetchAcceptor.FetchAcceptor): Accept => {
  const { WebSocketPair: Pair } = globalThis as WorkersGlobal
  if (Pair === undefined) throw new TypeError("effect-swaggersocket/workers: this program does not run on Workers")
  endTurnsAtOnce()
  return (request) =>
    accept(request, {
      // Cloudflare sets it, and clients can't.
      remoteAddress: request.headers.get("cf-connecting-ip") ?? undefined,
      upgrade(webSocket, protocol) {
        const { 0: client, 1: socket } = new Pair()
        socket.accept()
        followEvents(withCopies(socket), webSocket)
        return new Response(null, switching(client, protocol))
      }
    })
}

/**
 * Accepts clients for a SwaggerSocket server in a Durable Object, as long as the scope is open.
 *
 * **Details**
 *
 * The function that it gives answers requests as the server on Node does: those that are no upgrade with 426, pages of other origins
 * with 403, other hosts with 421, and whoever is beyond a quota with 429 or 503. The address of a client is what Cloudflare says in
 * `cf-connecting-ip`.
 *
 * **Gotchas**
 *
 * A hub has to be in a Durable Object: what a Worker makes for one request, WebSockets and timers included, it may not use in another
 * one. An object with connections does not hibernate, since they have timers. When it is evicted or a new version is deployed, its
 * links are lost, and its sessions with them: clients dial again and get a fresh connection, and calls that were in progress fail
 * with the outcome *unknown*.
 *
 * **Example** (A hub in a Durable Object)
 *
 * ```ts
 * import { DurableObject } from "cloudflare:workers"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as WorkersSwaggerSocket from "effect-swaggersocket/workers"
 * import * as Context from "effect/Context"
 * import * as Layer from "effect/Layer"
 * import * as ManagedRuntime from "effect/ManagedRuntime"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * class Accept extends Context.Service<Accept, WorkersSwaggerSocket.Accept>()("Accept") {}
 *
 * export class Hub extends DurableObject {
 *   readonly #runtime = ManagedRuntime.make(
 *     Layer.effect(Accept, WorkersSwaggerSocket.accept(Devices)).pipe(Layer.provideMerge(Devices.layerNoRoute({})))
 *   )
 *
 *   async fetch(request: Request): Promise<Response> {
 *     const accept = await this.#runtime.runPromise(Accept)
 *     return accept(request)
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = <I, M, P>(
  service: Context.Service<I, SwaggerSocketServer<M, P>>
): Effect.Effect<Accept, never, I | Scope.Scope> => Effect.map(Effect.flatMap(service, FetchAcceptor.make), handler)

/**
 * The WebSocket of Workers, for clients in a Durable Object, or in a Worker while it handles a request. It can't send header fields:
 * authenticate by metadata.
 *
 * **Example** (A Durable Object that is a client)
 *
 * ```ts
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as WorkersSwaggerSocket from "effect-swaggersocket/workers"
 * import * as Layer from "effect/Layer"
 *
 * export const Client = SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" }).pipe(
 *   Layer.provide(WorkersSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocketConstructor: Layer.Layer<Socket.WebSocketConstructor> = Layer.effect(
  Socket.WebSocketConstructor,
  Effect.map(Socket.WebSocketConstructor, (construct) => {
    endTurnsAtOnce()
    return (url, options) => withCopies(construct(url, options))
  })
).pipe(Layer.provide(Socket.layerWebSocketConstructorGlobal))

/**
 * `accept` without Effect: accepts clients for a hub of `createHub`, in a Durable Object, until that is closed.
 *
 * **Example** (A hub)
 *
 * ```ts
 * import { DurableObject } from "cloudflare:workers"
 * import { createHub } from "effect-swaggersocket/promise"
 * import { acceptHub } from "effect-swaggersocket/workers"
 *
 * export class Hub extends DurableObject {
 *   readonly #accept = createHub().then((hub) => {
 *     hub.serve(() => new Response(new Date().toISOString()))
 *     return acceptHub(hub)
 *   })
 *
 *   async fetch(request: Request): Promise<Response> {
 *     return (await this.#accept)(request)
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const acceptHub = <M, P>(hub: AcceptingHub<M, P>): Accept => handler(FetchAcceptor.ofHub(hub))

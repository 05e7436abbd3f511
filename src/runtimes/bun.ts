/**
 * Connections on Bun: a SwaggerSocket server behind `Bun.serve`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { layerWithFields } from "../internal/link/platformConstructor.ts"
import { type RuntimeSocket, RuntimeWebSocket } from "../internal/link/runtimeWebSocket.ts"
import * as FetchAcceptor from "../internal/server/fetchAcceptor.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"

/**
 * What is used of the server that `Bun.serve` gives to its handlers.
 *
 * @since 0.1.0
 * @category models
 */
export interface BunServer {
  /** Upgrades a request; answers whether that was possible. */
  upgrade(request: Request, ...options: ReadonlyArray<never>): boolean
  /** Who has sent a request. */
  requestIP(request: Request): { readonly address: string } | null
}

/**
 * What is used of a WebSocket of `Bun.serve`.
 *
 * @since 0.1.0
 * @category models
 */
export interface BunWebSocket {
  /** What its upgrade was given. */
  readonly data: unknown
  /** Sends a message; answers 0 where it was dropped. */
  send(message: string | Uint8Array<ArrayBuffer>): number
  /** Begins to close it. */
  close(code?: number, reason?: string): void
  /** Drops it. */
  terminate(): void
  /** Bytes that wait to be sent. */
  getBufferedAmount(): number
}

/**
 * What `Bun.serve` is given as `websocket`. The functions do nothing for WebSockets that were not accepted here, so that an app which
 * has other WebSockets can call them in functions of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketHandlers {
  /** Off (PROTOCOL.md, "Security"). */
  readonly perMessageDeflate: false
  /** Begins a link. */
  open(ws: BunWebSocket): void
  /** Gives a message to its link. */
  message(ws: BunWebSocket, message: string | Uint8Array): void
  /** Ends a link. */
  close(ws: BunWebSocket, code: number, reason: string): void
  /** Tells a link that there is room. */
  drain(ws: BunWebSocket): void
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
 * Answers the upgrade requests of clients; `undefined` for those that are upgraded, as Bun wants it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accept {
  (request: Request, server: BunServer): Promise<Response | undefined>
}

/** Stands for the answer to a request that was upgraded: Bun wants none. */
const upgraded = Symbol()

const socketOf = (ws: BunWebSocket): RuntimeSocket => ({
  send(message) {
    // -1: it waits to be sent, and `drain` will tell. An empty one has 0 bytes.
    if (ws.send(message) === 0 && message.length > 0) throw new Error("Bun has dropped a message")
  },
  close: (code, reason) => ws.close(code, reason),
  terminate: () => ws.terminate(),
  bufferedAmount: () => ws.getBufferedAmount(),
  takesAnyCode: true,
  tellsRoom: true
})

const linkOf = ({ data }: BunWebSocket): RuntimeWebSocket | undefined =>
  data instanceof RuntimeWebSocket ? data : undefined

const handler = (accept: FetchAcceptor.FetchAcceptor): Accept => async (request, server) => {
  const answer = await accept<typeof upgraded>(request, {
    remoteAddress: server.requestIP(request)?.address,
    upgrade: (data, protocol) => {
      const headers = protocol === undefined ? undefined : { "sec-websocket-protocol": protocol }
      return server.upgrade(request, { data, headers } as never) ? upgraded : undefined
    }
  })
  return answer === upgraded ? undefined : answer
}

/**
 * Accepts clients for a SwaggerSocket server behind `Bun.serve`, as long as the scope is open. The server needs `websocket`, too.
 *
 * **Details**
 *
 * The function that it gives answers requests as the server on Node does: those that are no upgrade with 426, pages of other origins
 * with 403, other hosts with 421, and whoever is beyond a quota with 429 or 503. Which paths it is called for is up to the handler.
 *
 * When the scope closes, new clients are answered 503, and connections are drained: calls in progress may go on for
 * `Limits.drainTimeout`. Don't wait for `stop` of the server before: it waits for WebSockets.
 *
 * Without `websocket` each upgrade is answered 501, and a warning of the log says why.
 *
 * **Example** (A hub beside an app)
 *
 * ```ts
 * import * as BunSwaggerSocket from "effect-swaggersocket/bun"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * declare const app: (request: Request) => Promise<Response>
 *
 * const Served = Layer.effectDiscard(Effect.gen(function*() {
 *   const accept = yield* BunSwaggerSocket.accept(Devices)
 *   yield* Effect.acquireRelease(
 *     Effect.sync(() =>
 *       Bun.serve({
 *         port: 3000,
 *         fetch: (request, server) =>
 *           new URL(request.url).pathname === "/socket" ? accept(request, server) : app(request),
 *         websocket: BunSwaggerSocket.websocket
 *       })
 *     ),
 *     (server) => Effect.sync(() => void server.stop())
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
 * What `Bun.serve` needs as `websocket`: it follows the WebSockets of clients.
 *
 * **Example** (An app with WebSockets of its own)
 *
 * ```ts
 * import * as BunSwaggerSocket from "effect-swaggersocket/bun"
 *
 * export const websocket: BunSwaggerSocket.WebSocketHandlers = {
 *   ...BunSwaggerSocket.websocket,
 *   message(ws, message) {
 *     BunSwaggerSocket.websocket.message(ws, message)
 *     if (ws.data === "mine") ws.send(`heard ${message.length}`)
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category constants
 */
export const websocket: WebSocketHandlers = {
  perMessageDeflate: false,
  open: (ws) => linkOf(ws)?.opened(socketOf(ws)),
  message: (ws, message) => linkOf(ws)?.received(message),
  close: (ws, code, reason) => linkOf(ws)?.closed(code, reason),
  drain: (ws) => linkOf(ws)?.drained()
}

/**
 * The WebSocket of Bun, for clients. Unlike that of pages it sends header fields.
 *
 * **Example** (A device)
 *
 * ```ts
 * import * as BunSwaggerSocket from "effect-swaggersocket/bun"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Device = SwaggerSocketClient.layer({
 *   url: "wss://hub.example.com/socket",
 *   headers: { authorization: "Bearer open sesame" }
 * }).pipe(Layer.provide(BunSwaggerSocket.layerWebSocketConstructor))
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
 * import { acceptHub, websocket } from "effect-swaggersocket/bun"
 *
 * const hub = await createHub()
 *
 * hub.serve(() => new Response(new Date().toISOString()))
 *
 * const accept = acceptHub(hub)
 *
 * Bun.serve({ port: 3000, fetch: accept, websocket })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const acceptHub = <M, P>(hub: AcceptingHub<M, P>): Accept => handler(FetchAcceptor.ofHub(hub))

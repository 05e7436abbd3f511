/**
 * Connections of Hono apps: a SwaggerSocket server behind the `upgradeWebSocket` of Hono's adapters, on whatever these run.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as CloseCode from "../internal/frame/CloseCode.ts"
import type { RuntimeSocket, RuntimeWebSocket } from "../internal/link/runtimeWebSocket.ts"
import * as FetchAcceptor from "../internal/server/fetchAcceptor.ts"
import type { SwaggerSocketServer } from "../SwaggerSocketServer.ts"

/**
 * What is used of the context of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface HonoContext {
  /** The request. */
  readonly req: { readonly raw: Request }
}

/**
 * What is used of a WebSocket of Hono.
 *
 * @since 0.1.0
 * @category models
 */
export interface HonoWebSocket {
  /** Sends a message. */
  send(message: string | Uint8Array<ArrayBuffer>): void
  /** Begins to close it. */
  close(code?: number, reason?: string): void
  /** As `readyState` of WebSockets: 3 when it is closed. */
  readonly readyState: number
  /** The WebSocket of the platform. */
  readonly raw?: unknown
}

/**
 * What Hono is given to follow a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface HonoEvents {
  /** Begins a link. */
  readonly onOpen: (event: unknown, ws: HonoWebSocket) => void
  /** Gives a message to the link. */
  readonly onMessage: (event: { readonly data: unknown }, ws: HonoWebSocket) => void
  /** Ends the link. */
  readonly onClose: (event: { readonly code: number; readonly reason: string }, ws: HonoWebSocket) => void
  /** Ends the link. */
  readonly onError: (event: unknown) => void
}

/**
 * An `upgradeWebSocket`: that of `hono/deno`, `hono/bun`, `hono/cloudflare-workers` or `@hono/node-server`, or another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface UpgradeWebSocket {
  (createEvents: () => HonoEvents): (context: never, next: () => Promise<void>) => Promise<unknown>
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
 * A handler for the route of the WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accept {
  (context: HonoContext): Promise<Response>
}

/**
 * How clients are accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptOptions {
  /**
   * The `getConnInfo` of the adapter, which tells the address of a client, for the quotas of addresses. Default: it is not known, and no
   * such quota holds.
   */
  readonly getConnInfo?:
    | ((context: never) => { readonly remote: { readonly address?: string | undefined } })
    | undefined
}

const isCallable = <K extends string>(target: unknown, name: K): target is { readonly [N in K]: () => unknown } =>
  Predicate.hasProperty(target, name) && Predicate.isFunction(target[name])

const socketOf = (ws: HonoWebSocket): RuntimeSocket => {
  const { raw } = ws
  // Deno's: Hono passes on what it gives, and a blob is read later than the message behind it.
  if (Predicate.hasProperty(raw, "binaryType") && raw.binaryType === "blob") raw.binaryType = "arraybuffer"
  return {
    send: (message) => ws.send(message),
    close: (code, reason) => ws.close(code, reason),
    terminate: isCallable(raw, "terminate") ? () => raw.terminate() : undefined,
    bufferedAmount() {
      if (isCallable(raw, "getBufferedAmount")) return Number(raw.getBufferedAmount())
      return Predicate.hasProperty(raw, "bufferedAmount") ? Number(raw.bufferedAmount) : undefined
    }
  }
}

/** What follows a WebSocket. Not every adapter tells that one is open, but a client sends a message then. */
const follow = (webSocket: RuntimeWebSocket): HonoEvents => {
  let isOpen = false
  const open = (ws: HonoWebSocket) => {
    if (isOpen) return
    isOpen = true
    webSocket.opened(socketOf(ws))
  }
  return {
    onOpen: (_event, ws) => open(ws),
    onMessage({ data }, ws) {
      open(ws)
      webSocket.received(data)
    },
    onClose({ code, reason }, ws) {
      // Workers does not answer the close frame of a client by itself.
      if (ws.readyState !== closed) ws.close(CloseCode.NORMAL)
      webSocket.closed(code, reason)
    },
    onError: (event) => webSocket.failed(Predicate.hasProperty(event, "error") ? event.error : event)
  }
}

/** `readyState` of a WebSocket that is closed. */
const closed = 3

const nothing = async () => {}

const handler =
  (upgradeWebSocket: UpgradeWebSocket, { getConnInfo }: AcceptOptions) =>
  (accept: FetchAcceptor.FetchAcceptor): Accept =>
  (context) =>
    accept(context.req.raw, {
      remoteAddress: getConnInfo?.(context as never).remote.address,
      async upgrade(webSocket, protocol) {
        const response = await upgradeWebSocket(() => follow(webSocket))(context as never, nothing)
        // 500: that of Node was given no server of WebSockets.
        if (!(response instanceof Response) || response.status >= 400) return undefined
        // Hono's adapter for Workers selects no subprotocol.
        if (protocol !== undefined && Predicate.hasProperty(response, "webSocket") && response.webSocket !== null) {
          response.headers.set("sec-websocket-protocol", protocol)
        }
        return response
      }
    })

/**
 * Accepts clients for a SwaggerSocket server on a route of a Hono app, as long as the scope is open.
 *
 * **When to use**
 *
 * Where an adapter of Hono upgrades. On Node `NodeSwaggerSocket.attach` takes the upgrades of the server below the app, which knows
 * more of its sockets; on Workers, Deno and Bun their own entries serve with `context.req.raw` as well.
 *
 * **Details**
 *
 * The handler that it gives answers requests as the server on Node does: those that are no upgrade with 426, pages of other origins
 * with 403, other hosts with 421, and whoever is beyond a quota with 429 or 503.
 *
 * When the scope closes, new clients are answered 503, and connections are drained: calls in progress may go on for
 * `Limits.drainTimeout`.
 *
 * **Example** (A hub on a route)
 *
 * ```ts
 * import * as HonoSwaggerSocket from "effect-swaggersocket/hono"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import { Hono } from "hono"
 * import { getConnInfo, upgradeWebSocket } from "hono/deno"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const addHub = Effect.fnUntraced(function*(app: Hono) {
 *   app.get("/socket", yield* HonoSwaggerSocket.accept(Devices, upgradeWebSocket, { getConnInfo }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const accept = <I, M, P>(
  service: Context.Service<I, SwaggerSocketServer<M, P>>,
  upgradeWebSocket: UpgradeWebSocket,
  options: AcceptOptions = {}
): Effect.Effect<Accept, never, I | Scope.Scope> =>
  Effect.map(Effect.flatMap(service, FetchAcceptor.make), handler(upgradeWebSocket, options))

/**
 * `accept` without Effect: accepts clients for a hub of `createHub`, until that is closed.
 *
 * **Example** (A hub on a route)
 *
 * ```ts
 * import { acceptHub } from "effect-swaggersocket/hono"
 * import { createHub } from "effect-swaggersocket/promise"
 * import { Hono } from "hono"
 * import { getConnInfo, upgradeWebSocket, websocket } from "hono/bun"
 *
 * const hub = await createHub()
 *
 * const app = new Hono()
 *
 * app.get("/socket", acceptHub(hub, upgradeWebSocket, { getConnInfo }))
 *
 * Bun.serve({ port: 3000, fetch: app.fetch, websocket })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const acceptHub = <M, P>(
  hub: AcceptingHub<M, P>,
  upgradeWebSocket: UpgradeWebSocket,
  options: AcceptOptions = {}
): Accept => handler(upgradeWebSocket, options)(FetchAcceptor.ofHub(hub))

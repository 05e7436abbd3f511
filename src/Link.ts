/**
 * Links: what a connection runs on. By default that is a WebSocket which `SwaggerSocketClient` dials and `SwaggerSocketServer`
 * upgrades; any transport that carries messages in order will do.
 *
 * A client is given links by its option `link`, a server by `accept`. `effect-swaggersocket/testing/LinkConformance` tests a
 * transport of your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as memoryLink from "./internal/link/memoryLink.ts"
import type { Link, Transport } from "./internal/link/model.ts"
import * as transportLink from "./internal/link/transportLink.ts"
import * as webSocketLink from "./internal/link/webSocketLink.ts"

export type { Link, Transport } from "./internal/link/model.ts"

/**
 * A link over a transport of your own.
 *
 * **Example** (A link that counts what is sent on another one)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 *
 * export const counted = (link: Link.Link, count: (length: number) => void): Link.Link =>
 *   Link.make({
 *     ...link,
 *     pull: link.pull,
 *     isFull: () => link.isFull(),
 *     onRoom: (resume) => link.onRoom(resume),
 *     close: (code, reason) => link.close(code, reason),
 *     terminate: () => link.terminate(),
 *     send: (message) => {
 *       count(message.length)
 *       return link.send(message)
 *     }
 *   })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (transport: Transport) => Link = transportLink.make

/**
 * The two ends of a link in memory, for peers in one process. Closing the scope terminates it.
 *
 * **Example** (A client and a server of one process)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * class Plugins extends SwaggerSocketServer.Service<Plugins>()("Plugins") {}
 *
 * export const Plugin = Layer.unwrap(Effect.map(Plugins, (plugins) =>
 *   SwaggerSocketClient.layer({
 *     link: Effect.gen(function*() {
 *       const [near, far] = yield* Link.makePair
 *       yield* Effect.forkScoped(plugins.accept(Effect.succeed(far)))
 *       return near
 *     })
 *   })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePair: Effect.Effect<readonly [Link, Link], never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const [near, far] = memoryLink.makePair()
    return [transportLink.shown(near), transportLink.shown(far)] as const
  }),
  ([near]) => Effect.sync(() => near.terminate())
)

/**
 * A link over a WebSocket, or an object that is like one. It waits until that is open, and closes it with the scope.
 *
 * **Gotchas**
 *
 * What a WebSocket receives before it is listened to is lost: make the link in the turn in which it was made or accepted. Which
 * pages may connect, and how long a message may be, is then up to who accepts it; compression should be off (PROTOCOL.md,
 * "Security").
 *
 * **Example** (WebSockets that another server has accepted)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import { WebSocketServer } from "ws"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * export const serve = Effect.gen(function*() {
 *   const devices = yield* Devices
 *   const server = new WebSocketServer({ port: 8080, maxPayload: 65_536, perMessageDeflate: false })
 *   server.on("connection", (webSocket, { socket }) => {
 *     const { remoteAddress } = socket
 *     Effect.runFork(devices.accept(Link.fromWebSocket(Effect.succeed(webSocket)), { remoteAddress }))
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromWebSocket = <R = never>(
  acquire: Effect.Effect<Socket.WebSocketLike, Socket.SocketError, R>,
  options?: {
    /** Whether it is one of TLS: the URLs of requests on it are then `https:`. Default `false`. */
    readonly isSecure?: boolean | undefined
  }
): Effect.Effect<Link, Socket.SocketError, R | Scope.Scope> =>
  Effect.flatMap(
    acquire,
    (webSocket) =>
      Effect.map(
        webSocketLink.fromWebSocket(() => webSocket, true, options?.isSecure === true, {}),
        transportLink.shown
      )
  )

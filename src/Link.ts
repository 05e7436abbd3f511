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
import * as messagePortLink from "./internal/link/messagePortLink.ts"
import type { Link, Transport } from "./internal/link/model.ts"
import * as socketLink from "./internal/link/socketLink.ts"
import * as transportLink from "./internal/link/transportLink.ts"
import * as webSocketLink from "./internal/link/webSocketLink.ts"
import * as Limits from "./Limits.ts"

export type { MessagePortLike } from "./internal/link/messagePortLink.ts"
export type { Link, Transport } from "./internal/link/model.ts"

/** Of a message, or of a handshake message: a link does not know which is which. */
const maxSize = ({ maxHandshakeSize, maxMessageSize }: Limits.Limits): number =>
  Math.max(maxHandshakeSize, maxMessageSize)

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

/**
 * A link over a stream of bytes, with a length before each message: TCP, Unix sockets, pipes, the standard input and output of
 * a process, or any other Effect `Socket`. It opens the socket, and closes it with the scope.
 *
 * **Details**
 *
 * The limits `maxMessageSize`, `maxHandshakeSize` and `messageTimeout` hold for it as for WebSockets. Nothing is
 * encrypted; a socket of TLS is as secure as `wss:`, and may say so by `isSecure`.
 *
 * **Example** (A server on a Unix socket)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
 * import * as Effect from "effect/Effect"
 * import * as SocketServer from "effect/socket/SocketServer"
 *
 * class Devices extends SwaggerSocketServer.Service<Devices>()("Devices") {}
 *
 * // Provide `NodeSocketServer.layer({ path: "/run/hub.sock" })`
 * export const serve = Effect.gen(function*() {
 *   const devices = yield* Devices
 *   const { run } = yield* SocketServer.SocketServer
 *   return yield* run((socket) => devices.accept(Link.fromSocket(socket)))
 * })
 * ```
 *
 * **Example** (A client of it)
 *
 * ```ts
 * import * as NodeSocket from "@effect/platform-node/NodeSocket"
 * import * as Link from "effect-swaggersocket/Link"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 *
 * export const Client = SwaggerSocketClient.layer({
 *   link: Effect.flatMap(NodeSocket.makeNet({ path: "/run/hub.sock" }), (socket) => Link.fromSocket(socket))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSocket = (
  socket: Socket.Socket,
  options?: {
    /** Whether nobody between the ends can read it: the URLs of requests on it are then `https:`. Default `false`. */
    readonly isSecure?: boolean | undefined
  }
): Effect.Effect<Link, Socket.SocketError, Scope.Scope> =>
  Effect.flatMap(Limits.Limits, (limits) =>
    Effect.map(
      socketLink.fromSocket(socket, {
        maxSize: maxSize(limits),
        messageTimeout: limits.messageTimeout,
        isSecure: options?.isSecure === true
      }),
      transportLink.shown
    ))

/**
 * A link over a `MessagePort`, between a page and its workers or threads of one process. Ports have no back-pressure of their
 * own: each end tells the other what it has read. The port is closed with the scope.
 *
 * **Gotchas**
 *
 * Browsers don't tell everywhere that the other end of a port is gone: then the heartbeat finds out. A worker that is sent a
 * port has to listen for it as soon as its script runs, before it does anything else: a port that comes before is lost.
 *
 * **Example** (A page whose worker serves an API)
 *
 * ```ts
 * import * as Link from "effect-swaggersocket/Link"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Effect from "effect/Effect"
 *
 * declare const worker: Worker
 *
 * // The worker accepts the port that it gets
 * export const ToWorker = SwaggerSocketClient.layer({
 *   link: Effect.suspend(() => {
 *     const { port1, port2 } = new MessageChannel()
 *     worker.postMessage(port2, [port2])
 *     return Link.fromMessagePort(port1)
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromMessagePort = (
  port: messagePortLink.MessagePortLike
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.flatMap(
    Limits.Limits,
    (limits) => Effect.map(messagePortLink.fromMessagePort(port, maxSize(limits)), transportLink.shown)
  )

/**
 * What Node adds: the `ws` WebSocket for clients, and an HTTP server with settings that suit long-lived sockets.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as NodeServices from "@effect/platform-node/NodeServices"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as WS from "ws"
import { PlatformAdvice } from "../internal/client/advice.ts"
import { readConfig } from "../internal/config/readConfig.ts"
import { takenBy } from "../internal/link/bytesTaken.ts"
import {
  heldBack,
  maxPayloads,
  type NodeWebSocket,
  ofWireV1,
  sockets,
  type TcpSocket,
  upgraded
} from "../internal/link/platformSockets.ts"
import * as metrics from "../internal/observe/metrics.ts"
import { RefusalLog } from "../internal/observe/refusalLog.ts"
import { inTurn } from "../internal/scheduling/turn.ts"
import * as Limits from "../Limits.ts"
import * as Quotas from "../Quotas.ts"
import { nodeAdvice } from "./advice.ts"
import { partialMessageOptions } from "./partialMessages.ts"
import { answering, Responses } from "./shutdown.ts"
import { limitReceiver } from "./timedReceiver.ts"
import { lineUp } from "./upgradeLine.ts"

export { tcp } from "./tcp.ts"
export type { TcpAddress } from "./tcp.ts"

/** How many messages of the handshake of wire v1 a server receives, and a client. */
const handshakeMessages = { server: 2, client: 1 }

/**
 * A handshake message may be this many bytes over the limit and is still read, so that the peer is told why it is
 * refused. `ws` closes the link of a larger one.
 */
const refusedInWords = 65_536

/** The options that `ws` passes to its own `setSocket`, which its types do not declare. */
interface SocketOptions {
  readonly maxPayload: number
  readonly skipUTF8Validation: boolean
}

/** The receiver of `ws`: it has no public way to change the size limit of an open socket. */
interface ReceiverState {
  _maxPayload: number
}

/** The WebSocket of `ws` with size limits that change after the handshake, and with what Go's programs need on wire v1. */
const webSocketOf = ({ maxHandshakeSize, messageTimeout, v1MaxMessageSize }: Limits.Limits): typeof WS.WebSocket => {
  const timeout = Duration.toMillis(messageTimeout)
  class WireWebSocket extends WS.WebSocket {
    setSocket(socket: TcpSocket, head: Buffer, options: SocketOptions): void {
      upgraded.set(socket, this as unknown as NodeWebSocket)
      sockets.set(this, { tcp: socket, takenBy })
      const setSocket = Reflect.get(WS.WebSocket.prototype, "setSocket") as WireWebSocket["setSocket"]
      if (!ofWireV1.has(this) && !ofWireV1.has(socket)) {
        const given = maxPayloads.get(this) ?? maxPayloads.get(socket)
        // The first message belongs to the handshake and may be longer than the others.
        const maxPayload = given ?? Math.max(options.maxPayload, maxHandshakeSize + refusedInWords)
        setSocket.call(this, socket, head, { ...options, ...partialMessageOptions(maxPayload), maxPayload })
        if (given === undefined) this.once("message", () => this.limitPayload(options.maxPayload))
        return limitReceiver(this, timeout)
      }
      // Go sends any bytes as text, whether or not they are UTF-8.
      const maxPayload = maxHandshakeSize + refusedInWords
      setSocket.call(this, socket, head, {
        ...options,
        ...partialMessageOptions(v1MaxMessageSize),
        maxPayload,
        skipUTF8Validation: true
      })
      limitReceiver(this, timeout)
      const isServer = ofWireV1.has(socket)
      let left = isServer ? handshakeMessages.server : handshakeMessages.client
      const emit = this.emit.bind(this) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
      this.emit = (event: string, ...args: Array<unknown>) => {
        if (event !== "message") return emit(event, ...args)
        if (--left === 0) this.#endHandshake(isServer)
        return emit(event, args[0], true)
      }
      // B13: a Go caller with a heartbeat crashes on other close codes, such as those that `ws` sends for invalid frames.
      const close = this.close.bind(this)
      this.close = (code = 1000, reason) => {
        if (code <= 1001) close(1001, reason)
        else this.terminate()
      }
    }

    /**
     * `ws` calls this once, when the link has closed. Handling that takes 0.2 to 0.4 ms for a connection (measured),
     * and all links of a process that is killed close in one turn: so each waits for its turn.
     */
    emitClose(): void {
      const emitClose = Reflect.get(WS.WebSocket.prototype, "emitClose") as WireWebSocket["emitClose"]
      inTurn(() => emitClose.call(this))
    }

    /** Changes the size limit of messages. */
    limitPayload(bytes: number): void {
      const receiver = Reflect.get(this, "_receiver") as ReceiverState
      receiver._maxPayload = bytes
    }

    /**
     * The handshake is over: the messages that follow may have the size of wire v1's. A server pauses until it has
     * accepted the client.
     */
    #endHandshake(isServer: boolean): void {
      this.limitPayload(v1MaxMessageSize)
      if (!isServer) return
      this.pause()
      heldBack.set(this, () => this.resume())
    }
  }
  return WireWebSocket
}

/** Options that both ends of a `ws` WebSocket take. */
const webSocketOptions = (limits: Limits.Limits) => ({
  // `ws` refuses a longer message while it arrives. Handshake messages may be longer than others.
  maxPayload: Math.max(limits.maxMessageSize, limits.maxHandshakeSize),
  perMessageDeflate: false,
  closeTimeout: Duration.toMillis(limits.closeTimeout)
})

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
 * Where an HTTP server listens, how it is made, and its limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerOptions extends Net.ListenOptions {
  /** Makes the server. Default `node:http`'s `createServer`. */
  readonly createServer?: (() => Http.Server) | undefined
  /** Should be those of the SwaggerSocket servers on it. Default: those of `Limits.layer`, as these servers have. */
  readonly limits?: Limits.Options | undefined
  /** Should be those of the SwaggerSocket servers on it. Default: those of `Quotas.layer`, as these servers have. */
  readonly quotas?: Quotas.Options | undefined
}

/**
 * How many upgrade requests may wait, for each handshake that may be in progress. A guess: with the default quotas
 * 1,024 requests wait, for at most 2 seconds if each takes 2 ms (measured in a process that has just started).
 */
const waitingPerHandshake = 2

/** Counts and logs upgrade requests that were refused because too many wait. */
const refusals = Effect.map(
  Effect.all([Effect.context<never>(), Effect.scope]),
  ([context, scope]) => {
    const fork = (effect: Effect.Effect<void>) =>
      Fiber.runIn(
        Effect.runForkWith(context)(
          Effect.annotateLogs(effect, { module: "NodeSwaggerSocket", method: "layerHttpServer" })
        ),
        scope
      )
    const log = new RefusalLog("upgrades", fork)
    return (socket: Net.Socket) => {
      metrics.refusals.updateUnsafe(1, context)
      if (!log.hasLine()) return
      const line = Effect.logWarning("refused an upgrade with 503: too many clients dial at once")
      fork(Effect.annotateLogs(line, { remoteAddress: socket.remoteAddress }))
    }
  }
)

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
    lineUp(server, waitingPerHandshake * quotas.server.pendingHandshakes, yield* refusals)
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

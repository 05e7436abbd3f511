/**
 * HTTP servers that are reached from here, served on connections.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import type { HttpServerError } from "effect/http/HttpServerError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as Tls from "node:tls"
import { oneLine } from "../internal/frame/oneLine.ts"
import { RefusalLog } from "../internal/observe/refusalLog.ts"
import { type Failure, forward, type Upstream } from "./forward.ts"

/**
 * Certificates and keys as Node takes them: PEM, one or several.
 *
 * @since 0.1.0
 * @category models
 */
export type Pem = string | Uint8Array | ReadonlyArray<string | Uint8Array>

/**
 * How a proxy's server proves who it is, and the proxy who it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProxyTls {
  /** The authorities that the server's certificate may come from. Default: those that Node trusts. */
  readonly ca?: Pem | undefined
  /** The certificate that is shown to the server, with those between it and its authority. Default: none. */
  readonly cert?: Pem | undefined
  /** The private key of `cert`. */
  readonly key?: Pem | undefined
  /** Opens the key. */
  readonly passphrase?: string | undefined
  /** The name that the server is asked for and that its certificate must have. Default: the host of the URL, unless an address. */
  readonly servername?: string | undefined
}

/**
 * How requests are passed on.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProxyOptions {
  /**
   * The `host` field of the requests. Default: what the caller has sent, which is `peer.invalid` for a URL that is a path.
   * Name one where the server knows its hosts and refuses others.
   */
  readonly host?: string | undefined
  /** The path of a Unix socket that the server listens on. The URL's host and port are then names alone. */
  readonly socketPath?: string | undefined
  /** For `https:` URLs. */
  readonly tls?: ProxyTls | undefined
  /**
   * How long a socket is kept for further requests once it is free, unless the server says less. Requests that must not be sent
   * twice have sockets of their own nevertheless. Default: each request has one of its own.
   */
  readonly keepAlive?: Duration.Input | undefined
  /** How long it may take to connect to the server. Default 10 seconds. */
  readonly openTimeout?: Duration.Input | undefined
  /** How long the server may take until the head of its answer. Default: as long as the caller waits. */
  readonly answerTimeout?: Duration.Input | undefined
}

const texts = {
  "not-sent": "The server could not be reached; it has not received the request.\n",
  unknown: "The server has not answered; it may have processed the request.\n"
}

/** A URL that names a server, and nothing of it. */
const parse = (url: string | URL): URL => {
  const parsed = new URL(url)
  const { hash, password, pathname, protocol, search, username } = parsed
  if (!/^https?:$/.test(protocol)) throw new RangeError(`a proxy needs an http: or https: URL, not ${protocol}`)
  if (pathname !== "/" || [hash, password, search, username].some((part) => part !== "")) {
    throw new RangeError(
      "the URL of a proxy's server has a scheme, a host and a port alone: paths are those of requests"
    )
  }
  return parsed
}

/** Reads certificates and keys once: those that can't be read are told of at once. */
const secured = (host: string, { servername, ...given }: ProxyTls): Tls.ConnectionOptions => {
  const secureContext = Tls.createSecureContext(given as Tls.SecureContextOptions)
  const name = servername ?? (Net.isIP(host) === 0 ? host : undefined)
  return { secureContext, ...(name === undefined ? {} : { servername: name }) }
}

const connectTo = (url: URL, { socketPath, tls }: ProxyOptions): {
  readonly opened: Upstream["opened"]
  readonly connect: (caller: { readonly isUpgrade: boolean }) => Duplex
} => {
  // IPv6 addresses have brackets in URLs alone.
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const isSecure = url.protocol === "https:"
  const port = Number(url.port || (isSecure ? 443 : 80))
  const where = socketPath === undefined ? { host, port } : { path: socketPath }
  if (!isSecure) {
    if (tls !== undefined) throw new RangeError("a proxy with the option tls needs an https: URL")
    return {
      opened: "connect",
      // Without `allowHalfOpen` the end of one direction would cut the other one.
      connect: ({ isUpgrade }) => Net.connect({ ...where, noDelay: true, allowHalfOpen: isUpgrade })
    }
  }
  const options = { ...where, ...secured(host, tls ?? {}) }
  return { opened: "secureConnect", connect: () => Tls.connect(options) }
}

/** As many as a server may be asked for at once without waiting for new sockets. A guess. */
const maxFreeSockets = 64

/** Keeps sockets that are free, for so many milliseconds. */
class KeptSockets extends Http.Agent {
  readonly #connect: () => Duplex

  constructor(millis: number, connect: () => Duplex) {
    super({ keepAlive: true, timeout: millis, maxFreeSockets })
    this.#connect = connect
  }

  override createConnection(): Duplex {
    return this.#connect()
  }
}

const describe = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // That of several addresses which were tried has a code alone.
  return cause.message || String((cause as NodeJS.ErrnoException).code)
}

/** Logs what the server has not answered. Peers decide how often that happens. */
const makeLog = () => {
  let log: RefusalLog | undefined = undefined
  return (text: string, outcome: Failure["outcome"], cause: unknown): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      log ??= new RefusalLog("requests", Effect.runForkWith(fiber.context))
      if (!log.hasLine()) return Effect.void
      return Effect.logWarning(`${text}; outcome: ${outcome}; ${oneLine(describe(cause))}`).pipe(
        Effect.annotateLogs({ module: "NodeSwaggerSocket", method: "proxy" })
      )
    })
}

/**
 * The handler that passes each request on to an HTTP server which is reached from here, as it is, and its answer back. For
 * connections only.
 *
 * **When to use**
 *
 * To make a server reachable for the other end of a connection, whatever it is written in, without a line of its code. The URL is
 * the only server that a peer reaches.
 *
 * **Details**
 *
 * - Method, path, fields and bytes of the body are passed on unchanged, and so are those of the answer, but for the fields of
 *   transports (`connection`, `transfer-encoding` …): nothing is decoded, no redirect is followed, no field is added.
 * - Bodies are streamed both ways, and both wait for their reader. A caller that gives up closes the socket to the server.
 * - An upgrade is passed on where both ends of the connection have the setting `upgrade`: WebSockets and others go through.
 * - Each request has a socket of its own. With `keepAlive`, those without a body whose method may be repeated share sockets; where the
 *   server has just closed one, the request is sent again on a socket of its own.
 *
 * A server that can't be reached is answered for with 502, or 504 after `openTimeout`; one that closes the socket without an answer,
 * or whose answer can be none to the request (an upgrade that it did not ask for, a status beyond 599), with 502, or 504 after
 * `answerTimeout`. A warning says why, and with `outcome: not-sent` or `outcome: unknown` whether the server
 * may have the request. An answer that breaks off makes its reader fail. A field with text that HTTP/1.1 can't carry (beyond
 * Latin-1) is answered 400. A URL with more than scheme, host and port is a `RangeError`, what is no URL a `TypeError`, and
 * certificates that can't be read are an error of OpenSSL.
 *
 * **Gotchas**
 *
 * Whoever is at the other end of the connection reaches all of the server: check requests before, or in it. Fields that it may
 * trust when they come from a proxy (`x-forwarded-for`, say) are what the caller has sent.
 *
 * **Example** (A part of a server, for callers with a token)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerRequest from "effect/http/HttpServerRequest"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 *
 * const forward = NodeSwaggerSocket.proxy("http://localhost:8080")
 *
 * export const Device = HttpRouter.serve(HttpRouter.add(
 *   "*",
 *   "/api/*",
 *   Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
 *     headers["x-token"] === "secret" ? forward : Effect.succeed(HttpServerResponse.empty({ status: 403 })))
 * )).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category handlers
 */
export const proxy = (
  url: string | URL,
  options: ProxyOptions = {}
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  HttpServerError,
  HttpServerRequest.HttpServerRequest | Scope.Scope
> => {
  const { answerTimeout, host, keepAlive, openTimeout = "10 seconds" } = options
  const log = makeLog()
  const { connect, opened } = connectTo(parse(url), options)
  return forward({
    connect,
    opened,
    agent: keepAlive === undefined
      ? undefined
      : new KeptSockets(Duration.toMillis(keepAlive), () => connect({ isUpgrade: false })),
    openTimeout,
    answerTimeout,
    headers: host === undefined ? {} : { host },
    failed({ cause, isTimeout, outcome }) {
      const status = isTimeout ? 504 : 502
      return Effect.as(
        log(`answered ${status} for a server`, outcome, cause),
        HttpServerResponse.text(texts[outcome], { status })
      )
    },
    broken: (cause) => log("the answer of a server broke off", "unknown", cause)
  })
}

/**
 * Serves an HTTP server that is reached from here; see `proxy`.
 *
 * **Example** (A device's own web server, for its hub)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
 * import * as Layer from "effect/Layer"
 *
 * export const Device = NodeSwaggerSocket.layerProxy("http://localhost:8080").pipe(
 *   Layer.provide(ApiServer.layer),
 *   Layer.provide(SwaggerSocketClient.layer({ url: "wss://hub.example.com/socket" })),
 *   Layer.provide(NodeSwaggerSocket.layerWebSocketConstructor)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProxy = (
  url: string | URL,
  options?: ProxyOptions
): Layer.Layer<never, never, HttpServer.HttpServer> => HttpServer.serve(proxy(url, options))

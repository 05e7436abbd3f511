/**
 * Accepts upgrade requests of runtimes whose servers take a function from `Request` to `Response`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as Connection from "../../Connection.ts"
import type { Limits } from "../../Limits.ts"
import { subprotocol } from "../handshake/subprotocol.ts"
import { fromRuntime, RuntimeWebSocket, type Unread } from "../link/runtimeWebSocket.ts"
import { type Opening, openings } from "../link/upgrade.ts"
import { acceptorOf } from "./acceptor.ts"

/** What a runtime does for an upgrade request. @internal */
export interface Upgrading<A> {
  /** The address of the client, where it is known. */
  readonly remoteAddress: string | undefined
  /**
   * Upgrades the request, with the subprotocol if there is one, and answers what the runtime wants to be given for that; it tells the
   * WebSocket what happens. Throws, or answers `undefined`, where the request is no proper handshake.
   */
  readonly upgrade: (
    webSocket: RuntimeWebSocket,
    protocol: string | undefined
  ) => A | undefined | Promise<A | undefined>
}

/** Answers an upgrade request: with what the runtime wants, or with the response that refuses it. @internal */
export interface FetchAcceptor {
  <A>(request: Request, upgrading: Upgrading<A>): Promise<A | Response>
}

/** The parts of a SwaggerSocket server that are used. */
interface Server<M, P> {
  readonly connections: Effect.Effect<ReadonlyArray<Connection.Connection<M, P>>>
  readonly upgrade: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
}

/** Bytes for a few more frames than the hello. A guess. */
const overhead = 4096

/** What a client may make this end keep: as on Node before it is authenticated, and then what it may have sent or sends again. */
const unreadOf = (limits: Limits, protocol: string | undefined): Unread => ({
  unauthenticated: protocol === undefined ? limits.v1MaxMessageSize : limits.maxHandshakeSize + overhead,
  authenticated: limits.maxConnectionWindow + limits.replayBuffer + limits.v1MaxMessageSize
})

const unavailable = () => new Response(null, { status: 503, headers: { "retry-after": "1" } })

const improper = () => new Response("This is no handshake of a WebSocket.\n", { status: 400 })

const notUpgradable = () =>
  new Response("No WebSocket: this server can't upgrade the request, and its log says why.\n", { status: 501 })

const cannotOpen = (cause: unknown) =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })

/**
 * Whether a request is a handshake of RFC 6455 (section 4.2.1) that somebody waits for. Where it can't be upgraded, that is not the
 * client's fault.
 */
const isProper = ({ headers, method, signal }: Request): boolean =>
  !signal.aborted && method === "GET" && headers.get("sec-websocket-version") === "13" &&
  /^[+/0-9A-Za-z]{22}==$/.test(headers.get("sec-websocket-key") ?? "")

/** Warns once, however many requests come. */
const makeWarning = () => {
  let hasWarned = false
  return (what: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (hasWarned) return Effect.void
      hasWarned = true
      return Effect.logWarning(`WebSockets can't be opened: ${what}; is the server set up for WebSockets?`)
    })
}

/** The request as servers take it. Runtimes whose requests have no `host` field have the host in the URL. */
const toServerRequest = (request: Request, remoteAddress: string | undefined): HttpServerRequest.HttpServerRequest => {
  const headers = Headers.fromInput(request.headers)
  return HttpServerRequest.fromWeb(request).modify({
    headers: headers.host === undefined ? Headers.set(headers, "host", new URL(request.url).host) : headers,
    remoteAddress: Option.fromUndefinedOr(remoteAddress)
  })
}

/** How the WebSocket of a request is opened, once the request is to be upgraded. */
const openingOf = <A>(
  request: Request,
  { upgrade }: Upgrading<A>,
  limits: Limits,
  answer: (response: A | Response) => void,
  warn: ReturnType<typeof makeWarning>
): Opening => {
  const protocol = request.headers.has("sec-websocket-protocol") ? subprotocol : undefined
  const refuse = ({ reason }: Socket.SocketError): Effect.Effect<void> => {
    const isFault = reason._tag === "SocketOpenError" && isProper(request)
    answer(isFault ? notUpgradable() : improper())
    return isFault ? warn(`the runtime has not upgraded a proper request (${String(reason.cause)})`) : Effect.void
  }
  const unopened = ({ reason }: Socket.SocketError): Effect.Effect<void> =>
    reason._tag === "SocketOpenError" && reason.kind === "Timeout"
      ? warn("the runtime has upgraded a request, and opened no WebSocket for 10 seconds")
      : Effect.void
  const opened = Effect.acquireRelease(
    Effect.sync(() => new RuntimeWebSocket(unreadOf(limits, protocol))),
    (webSocket) => Effect.sync(() => webSocket.close())
  )
  return Effect.flatMap(
    opened,
    (webSocket) =>
      Effect.tryPromise({ try: async () => upgrade(webSocket, protocol), catch: cannotOpen }).pipe(
        Effect.flatMap((upgraded) =>
          upgraded === undefined ? Effect.fail(cannotOpen(new Error("it says no more"))) : Effect.succeed(upgraded)
        ),
        Effect.tapError(refuse),
        Effect.flatMap((upgraded) => {
          answer(upgraded)
          return Effect.tapError(fromRuntime(webSocket, /^https:/i.test(request.url)), unopened)
        })
      )
  )
}

/** Accepts upgrade requests for a hub, which drains its connections itself when it is closed. @internal */
export const ofHub = <M, P>({ effect }: { readonly effect: Server<M, P> }): FetchAcceptor =>
  Effect.runSync(Scope.provide(make(effect), Scope.makeUnsafe()))

/**
 * Accepts upgrade requests for a server as long as the scope is open. When it closes, new clients are answered 503, and connections
 * are drained.
 *
 * @internal
 */
export const make = Effect.fnUntraced(function*<M, P>(
  server: Server<M, P>
): Effect.fn.Return<FetchAcceptor, never, Scope.Scope> {
  const { isLeaving, limits } = acceptorOf(server)
  const context = yield* Effect.context<never>()
  const handlers = yield* Scope.make("parallel")
  const warn = makeWarning()
  let isClosed = false
  yield* Effect.addFinalizer((exit) => {
    isClosed = true
    return Scope.close(handlers, exit)
  })
  return <A>(request: Request, upgrading: Upgrading<A>) =>
    new Promise<A | Response>((answer) => {
      if (isClosed || isLeaving()) return answer(unavailable())
      openings.set(request, openingOf(request, upgrading, limits, answer, warn))
      const handled = Effect.provideService(
        server.upgrade,
        HttpServerRequest.HttpServerRequest,
        toServerRequest(request, upgrading.remoteAddress)
      )
      // The promise keeps the first answer: that of the upgrade, if there is one. Without one it was refused, or the server has closed.
      Fiber.runIn(Effect.runForkWith(context)(handled), handlers).addObserver((exit) =>
        answer(Exit.isSuccess(exit) && exit.value.status >= 400 ? HttpServerResponse.toWeb(exit.value) : unavailable())
      )
    })
})

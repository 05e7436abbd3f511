/**
 * TCP connections by name, through upgrades inside a connection.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { joinBytes } from "../internal/http/spliced.ts"

/**
 * Where a TCP connection leads to: a port, on this machine or another, or a Unix socket.
 *
 * @since 0.1.0
 * @category models
 */
export type TcpAddress = Net.NetConnectOpts & {
  /** How long it may take to connect. Default 10 seconds. */
  readonly openTimeout?: Duration.Input | undefined
}

const required = HttpServerResponse.empty({ status: 426, headers: { connection: "Upgrade", upgrade: "tcp" } })
const unreachable = HttpServerResponse.text("There is nobody at the other end.\n", { status: 502 })
const upgraded = HttpServerResponse.empty({ status: 101 })

/**
 * Ends a TCP connection. Where its user has failed before all was written it is reset: a FIN would make its other end take a part for
 * the whole. Unix sockets have no reset.
 */
const close = (socket: Net.Socket, isUnix: boolean, exit: Exit.Exit<unknown, unknown>): void => {
  if (socket.destroyed) return
  if (socket.connecting) socket.destroy()
  else if (Exit.isSuccess(exit) || socket.writableEnded) socket.destroySoon()
  else if (isUnix) socket.destroy()
  else socket.resetAndDestroy()
}

/** A TCP connection until the scope closes, as `NodeSocket.makeNet` makes one, but for how it ends. */
const connect = (address: Net.NetConnectOpts): Effect.Effect<Net.Socket, Socket.SocketError, Scope.Scope> =>
  Effect.suspend(() => {
    let socket: Net.Socket | undefined = undefined
    const release = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.sync(() => {
        if (socket !== undefined) close(socket, "path" in address, exit)
      })
    const connected = Effect.callback<Net.Socket, Socket.SocketError>((resume) => {
      const connecting = socket = Net.createConnection(address)
      connecting.once("connect", () => resume(Effect.succeed(connecting)))
      // It stays for as long as there is a socket, which may fail when nobody reads it any more.
      connecting.on("error", (cause) => {
        const reason = new Socket.SocketOpenError({ kind: "Unknown", cause })
        resume(Effect.fail(new Socket.SocketError({ reason })))
      })
    })
    return Effect.andThen(Effect.addFinalizer(release), connected)
  })

/**
 * The handler of a route that stands for a TCP address: a request with `upgrade: tcp` is answered 101 once the TCP connection is
 * there, and joined to it.
 *
 * **When to use**
 *
 * To reach a database, a terminal or a device's own port through a connection. The route is the name; the peer can't choose another
 * address, nor find out which one it is.
 *
 * **Details**
 *
 * Each direction ends by itself, and each side waits for the other to read. A TCP connection that can't be made is answered 502, a
 * request without `upgrade: tcp` 426. The loss of either side resets the other one. The caller's side is
 * `HttpClientRequest.upgrade("tcp")`; it may be the peer of a relay.
 *
 * **Example** (The database of a device)
 *
 * ```ts
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as NodeSwaggerSocket from "effect-swaggersocket/node"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as Layer from "effect/Layer"
 *
 * export const Device = HttpRouter.serve(
 *   HttpRouter.add("GET", "/tcp/database", NodeSwaggerSocket.tcp({ host: "127.0.0.1", port: 5432 }))
 * ).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category handlers
 */
export const tcp = (
  address: TcpAddress
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =>
  Effect.scoped(Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers.upgrade?.toLowerCase() !== "tcp") return required
    // Without `allowHalfOpen` the end of the far direction would cut the near one.
    const { openTimeout = "10 seconds", ...options } = address
    const far = yield* NodeSocket.fromDuplex(connect({ ...options, allowHalfOpen: true }), { openTimeout })
    const reader = yield* Effect.option(far.reader)
    if (reader._tag === "None") return unreachable
    return yield* Effect.matchEffect(request.upgrade, {
      onFailure: () => Effect.succeed(required),
      onSuccess: (near) => Effect.as(joinBytes(near, far, reader.value, request), upgraded)
    })
  })).pipe(
    // Both sockets were released, with the failure.
    Effect.catch(() => Effect.succeed(upgraded))
  )

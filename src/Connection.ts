/**
 * A connection to one peer: who the peer is, how the connection is doing, and how to close it. Clients and servers have
 * connections of this type. `ApiClient` calls the API of the peer on it, `ApiServer` serves one to the peer.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Stream from "effect/Stream"
import type { Statistics } from "./ConnectionEvent.ts"
import { currentKey, TypeId } from "./internal/connection/typeId.ts"
import type { SwaggerSocketError } from "./SwaggerSocketError.ts"

/**
 * What a connection is doing.
 *
 * - `open`: calls can be made
 * - `interrupted`: the link was lost (PROTOCOL.md, "Losing a link"), and the connection waits to be resumed on another;
 *   calls wait too
 * - `draining`: one of the ends takes no more requests; those in progress finish
 * - `closing`: this end has begun to close it, and waits for the peer to do the same
 * - `closed`: it has ended
 *
 * @since 0.1.0
 * @category models
 */
export type Status = "open" | "interrupted" | "draining" | "closing" | "closed"

/**
 * How a connection ended: closed in good order by one of the ends, or by a failure.
 *
 * @since 0.1.0
 * @category models
 */
export type CloseReason =
  | {
    /** It was closed in good order. */
    readonly _tag: "Closed"
    /** Which end closed it. */
    readonly initiator: "local" | "remote"
    /** The close code (RFC 6455, section 7.4, and PROTOCOL.md, "Close codes"). */
    readonly code: number
    /** What that end said; empty where it said nothing. */
    readonly reason: string
  }
  | {
    /** It failed: the network, silence, a broken rule, or a session that was lost. */
    readonly _tag: "Failed"
    /** How. */
    readonly error: SwaggerSocketError
  }

/**
 * How a connection is closed: with which code and reason, and whether calls in progress may finish.
 *
 * @since 0.1.0
 * @category models
 */
export interface CloseOptions {
  /**
   * The close code. Default 1000. Applications may use 3000-3999 and 4200-4999; 4000-4199 mean something to the
   * wire. Any other code is a defect, a `RangeError`.
   */
  readonly code?: number | undefined
  /** For people; cut at 123 bytes. Default none. */
  readonly reason?: string | undefined
  /**
   * Whether calls in progress may finish: `true` for as long as `Limits.drainTimeout` says, or for this long. Default
   * `false`.
   */
  readonly drain?: boolean | Duration.Input | undefined
}

/**
 * A connection to a peer with metadata `M` that authenticated as principal `P`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection<out M = unknown, out P = unknown> {
  readonly [TypeId]: typeof TypeId
  /** Given by the server, the same on both ends. */
  readonly id: string
  /** What the client said of itself in the handshake; on the client what it sent. */
  readonly metadata: M
  /** Whoever the server's `authenticate` has found the client to be; `undefined` without one, and on the client. */
  readonly principal: P
  /** The wire that the peer speaks. */
  readonly wire: "v1" | "v2"
  /** The socket role of this end. */
  readonly role: "client" | "server"
  /** Address of the peer, where the platform tells it. */
  readonly remoteAddress: Option.Option<string>
  /** Whether it is open, and if not, what it is doing. */
  readonly status: Effect.Effect<Status>
  /** The status now and after each change; a slow subscriber skips states that were superseded. Ends with `closed`. */
  readonly changes: Stream.Stream<Status>
  /** Round-trip time as last measured, at first by the handshake. */
  readonly roundTrip: Effect.Effect<Duration.Duration>
  /** What it has done so far: messages, bytes, calls. */
  readonly statistics: Effect.Effect<Statistics>
  /** Calls in progress in each direction, and calls of this end that wait to be sent. */
  readonly active: Effect.Effect<{ readonly local: number; readonly remote: number; readonly waiting: number }>
  /**
   * Closes the connection and waits until it is.
   *
   * Without a `drain` it closes at once, whatever the code: calls in progress are lost on both ends, with the outcome
   * `unknown`, and so are answers that have not left yet. With a `drain` both ends take no more requests, those in
   * progress finish within that time (`true`: `Limits.drainTimeout`), and a client that stays connected moves to
   * another connection meanwhile. New calls of this end are `not-sent`, but for those of handlers that still run. A
   * peer that is silent, and answers that nobody reads, are waited for no longer than `Limits.closeTimeout`.
   *
   * Code 1000 by default, or 3000-3999 and 4200-4999 for codes of the application. 4000-4199 mean something to the
   * wire; others are a defect, a `RangeError`. The reason is cut at 123 bytes.
   */
  readonly close: (options?: CloseOptions) => Effect.Effect<void>
  /** Waits until the connection has ended; gives how. */
  readonly closed: Effect.Effect<CloseReason>
}

/**
 * The connection that the current request arrived on: who is calling.
 *
 * **When to use**
 *
 * In handlers that are served on connections alone. The handler then requires a `Connection`, which `ApiServer.layer`,
 * `layerServer` and `layerConnection` provide; served on an ordinary HTTP server it does not type-check. Handlers that
 * are served on both use `currentOption`. `current` of a `SwaggerSocketServer.Service` is the same with the types of
 * that server.
 *
 * **Gotchas**
 *
 * There is a connection while a request is handled, and none while a layer is built, although the types can't tell
 * these apart: there it is a defect, as a missing service is everywhere. To run a handler in a test, provide a connection
 * yourself: `Effect.provideService(Connection.current, connection)`.
 *
 * **Example** (Who is calling)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Layer from "effect/Layer"
 * import * as ApiServer from "effect-swaggersocket/ApiServer"
 * import * as Connection from "effect-swaggersocket/Connection"
 *
 * export const WhoAmI = HttpRouter.serve(HttpRouter.add(
 *   "GET",
 *   "/whoami",
 *   Effect.map(Connection.current, (connection) => HttpServerResponse.text(connection.id))
 * )).pipe(Layer.provide(ApiServer.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const current: Context.Service<Connection, Connection> = Context.Service<Connection>(currentKey)

/**
 * The connection that the current request arrived on, or none where it came over ordinary HTTP. Requires nothing, so a
 * handler that uses it can be served on any `HttpServer`.
 *
 * **Example** (Served on connections and over plain HTTP)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as HttpServerResponse from "effect/http/HttpServerResponse"
 * import * as Option from "effect/Option"
 * import * as Connection from "effect-swaggersocket/Connection"
 *
 * export const whoami = Effect.map(
 *   Connection.currentOption,
 *   (connection) => HttpServerResponse.text(Option.isSome(connection) ? connection.value.id : "plain HTTP")
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const currentOption: Effect.Effect<Option.Option<Connection>> = Effect.serviceOption(current)

/**
 * Whether a value is a `Connection` of this package.
 *
 * **Example** (A target that is a connection, or a URL)
 *
 * ```ts
 * import * as Connection from "effect-swaggersocket/Connection"
 *
 * export const nameOf = (target: Connection.Connection | string) =>
 *   Connection.isConnection(target) ? target.id : target
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isConnection = (u: unknown): u is Connection => Predicate.hasProperty(u, TypeId)

/**
 * What happens to connections, as a stream of values: `SwaggerSocketServer` and `SwaggerSocketClient` have one each.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { SwaggerSocketError } from "./SwaggerSocketError.ts"

const UInt = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * What a connection has done, counted since it began. Bytes and messages are those of the WebSocket's messages behind
 * the handshake; on wire v1 frames are HTTP messages, and what counts as resets are calls that this end gave up.
 *
 * **Example** (Bytes of a connection, as JSON)
 *
 * ```ts
 * import type * as Connection from "effect-swaggersocket/Connection"
 * import * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const encode = Schema.encodeEffect(Schema.fromJsonString(ConnectionEvent.Statistics))
 *
 * export const report = (connection: Connection.Connection) => Effect.flatMap(connection.statistics, encode)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Statistics = Schema.Struct({
  messagesReceived: UInt,
  messagesSent: UInt,
  bytesReceived: UInt,
  bytesSent: UInt,
  framesReceived: UInt,
  framesSent: UInt,
  /** Calls that this end made. */
  streamsOpened: UInt,
  /** Calls that the peer made. */
  streamsAccepted: UInt,
  resetsReceived: UInt,
  resetsSent: UInt,
  /** The last measured round-trip time in milliseconds. */
  roundTripMillis: Schema.optionalKey(Schema.Number)
})

/**
 * What a connection has done, counted since it began.
 *
 * @since 0.1.0
 * @category models
 */
export type Statistics = typeof Statistics.Type

const common = <M extends Schema.Constraint>(metadata: M) => ({
  connectionId: Schema.String,
  /** What the client said of itself in the handshake; readable in every event of the connection. */
  metadata,
  /** Unix time in milliseconds. */
  at: Schema.Number
})

const ConnectionReceived = <M extends Schema.Constraint>(metadata: M) =>
  Schema.TaggedStruct("ConnectionReceived", {
    ...common(metadata),
    wire: Schema.Literals(["v1", "v2"]),
    remoteAddress: Schema.optionalKey(Schema.String)
  })

const ConnectionInterrupted = <M extends Schema.Constraint>(metadata: M) =>
  Schema.TaggedStruct("ConnectionInterrupted", { ...common(metadata), error: SwaggerSocketError })

const ConnectionResumed = <M extends Schema.Constraint>(metadata: M) =>
  Schema.TaggedStruct("ConnectionResumed", { ...common(metadata), gapMillis: Schema.Number, replayed: UInt })

const ConnectionClosed = <M extends Schema.Constraint>(metadata: M) =>
  Schema.TaggedStruct("ConnectionClosed", {
    ...common(metadata),
    initiator: Schema.Literals(["local", "remote"]),
    code: Schema.Int,
    reason: Schema.String,
    statistics: Statistics
  })

const ConnectionFailure = <M extends Schema.Constraint>(metadata: M) =>
  Schema.TaggedStruct("ConnectionFailure", {
    ...common(metadata),
    error: SwaggerSocketError,
    statistics: Statistics
  })

const ConnectionAttemptFailed = Schema.TaggedStruct("ConnectionAttemptFailed", {
  attempt: Schema.Int,
  willRetry: Schema.Boolean,
  error: SwaggerSocketError,
  at: Schema.Number
})

const QuotaExceeded = Schema.TaggedStruct("QuotaExceeded", {
  quota: Schema.String,
  holder: Schema.Literals(["address", "principal", "server", "process", "connection"]),
  address: Schema.optionalKey(Schema.String),
  principal: Schema.optionalKey(Schema.String),
  connectionId: Schema.optionalKey(Schema.String),
  count: UInt,
  at: Schema.Number
})

const EventsDropped = Schema.TaggedStruct("EventsDropped", { count: Schema.Int, at: Schema.Number })

/**
 * The schema of all events for a schema of the metadata, for instance to send them to a browser.
 *
 * **Example** (Events as JSON)
 *
 * ```ts
 * import * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
 * import * as Schema from "effect/Schema"
 *
 * export const encode = Schema.encodeEffect(
 *   Schema.fromJsonString(Schema.toCodecJson(ConnectionEvent.ConnectionEvent(Schema.Struct({ name: Schema.String }))))
 * )
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const ConnectionEvent = <M extends Schema.Constraint>(metadata: M) =>
  Schema.Union([
    ConnectionReceived(metadata),
    ConnectionInterrupted(metadata),
    ConnectionResumed(metadata),
    ConnectionClosed(metadata),
    ConnectionFailure(metadata),
    ConnectionAttemptFailed,
    QuotaExceeded,
    EventsDropped
  ])

/**
 * A connection was established.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionReceived<out M = unknown>
  extends Omit<ReturnType<typeof ConnectionReceived>["Type"], "metadata">
{
  /** What the client said of itself in the handshake. */
  readonly metadata: M
}

/**
 * The link was lost; the connection waits to be resumed on another. `error` says how.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionInterrupted<out M = unknown>
  extends Omit<ReturnType<typeof ConnectionInterrupted>["Type"], "metadata">
{
  /** What the client said of itself in the handshake. */
  readonly metadata: M
}

/**
 * An interrupted connection goes on, on another link, after `gapMillis` without one. Nothing was lost; this end has
 * sent `replayed` messages again.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionResumed<out M = unknown>
  extends Omit<ReturnType<typeof ConnectionResumed>["Type"], "metadata">
{
  /** What the client said of itself in the handshake. */
  readonly metadata: M
}

/**
 * A connection was closed in good order: by whom, with which close code and reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionClosed<out M = unknown>
  extends Omit<ReturnType<typeof ConnectionClosed>["Type"], "metadata">
{
  /** What the client said of itself in the handshake. */
  readonly metadata: M
}

/**
 * A connection ended by a failure: the network, silence, or a broken rule.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionFailure<out M = unknown>
  extends Omit<ReturnType<typeof ConnectionFailure>["Type"], "metadata">
{
  /** What the client said of itself in the handshake. */
  readonly metadata: M
}

/**
 * A client could not connect. `attempt` counts from 1 and starts anew with each established connection; `willRetry`
 * says whether it dials again.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionAttemptFailed = typeof ConnectionAttemptFailed.Type

/**
 * A quota of a server is used up (`Quotas`): `count` times something was refused or given up for it. `quota` is its name
 * in the options, such as `"connections"`, and `holder` says whose it is: that of an `address`, of a principal, of the
 * whole server or of the process. `principal` is there where the server has a `principalOf`: what that answers, if it is
 * a string, a number or has a `PrimaryKey`, cut at 128 characters.
 *
 * The same is told where a connection has used up one of its `Limits`: `holder` is `"connection"` then, `quota` the name
 * of the limit, such as `"sendTimeout"`, and `connectionId` says which one it is.
 *
 * Of each quota the first refusal is told at once; after each second further events tell how many more there were, for
 * ten addresses, principals or connections, and in one for all others.
 *
 * @since 0.1.0
 * @category models
 */
export type QuotaExceeded = typeof QuotaExceeded.Type

/**
 * This subscriber was too slow: `count` events since the one before were dropped for it, failed attempts to connect and
 * exceeded quotas first, then the oldest.
 *
 * @since 0.1.0
 * @category models
 */
export type EventsDropped = typeof EventsDropped.Type

/**
 * Everything that can happen to connections with metadata `M`.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionEvent<M = unknown> =
  | ConnectionReceived<M>
  | ConnectionInterrupted<M>
  | ConnectionResumed<M>
  | ConnectionClosed<M>
  | ConnectionFailure<M>
  | ConnectionAttemptFailed
  | QuotaExceeded
  | EventsDropped

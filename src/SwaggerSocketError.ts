/**
 * The one error of this package, with tagged reasons that say what happened, who caused it and what can be done.
 *
 * Failures of a call reach the caller as `HttpClientError` with this error as the `cause` of its `TransportError`;
 * `outcomeOf` reads from either whether the request may be repeated.
 *
 * @since 0.1.0
 */
import * as HttpClientError from "effect/http/HttpClientError"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { ErrorCodeName, RefusalCodeName } from "./internal/frame/codes.ts"
import { ErrorCode as Codes, RefusalCode as Refusals } from "./internal/frame/codes.ts"
import { oneLine } from "./internal/frame/oneLine.ts"

const TypeId = "~effect-swaggersocket/SwaggerSocketError"

/**
 * The name of an error code of wire v2 (PROTOCOL.md, "Error codes").
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorCode = ErrorCodeName

/**
 * The name of a refusal of the handshake (PROTOCOL.md, "Close codes").
 *
 * @since 0.1.0
 * @category models
 */
export type RefusalCode = RefusalCodeName

const ErrorCodeSchema = Schema.Literals(Object.keys(Codes) as unknown as readonly [ErrorCode, ...Array<ErrorCode>])
const RefusalCodeSchema = Schema.Literals(
  Object.keys(Refusals) as unknown as readonly [RefusalCode, ...Array<RefusalCode>]
)

/**
 * What is known of a request that was not completed (PROTOCOL.md, "Outcome of a call").
 *
 * - `"not-sent"`: nothing left this process. Safe to repeat.
 * - `"not-processed"`: the peer said that no handler saw it. Safe to repeat.
 * - `"unknown"`: it may have been executed. Safe to repeat only if the request is idempotent.
 *
 * **Example** (An outcome of another program)
 *
 * ```ts
 * import { Outcome } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Schema from "effect/Schema"
 *
 * export const Report = Schema.Struct({ call: Schema.String, outcome: Outcome })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome: Schema.Literals<readonly ["not-sent", "not-processed", "unknown"]> = Schema.Literals([
  "not-sent",
  "not-processed",
  "unknown"
])

/**
 * What is known of a call that could not be completed: whether the other end may have acted on it.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = typeof Outcome.Type

const Initiator = Schema.Literals(["local", "remote"])

/**
 * The WebSocket could not be opened, or broke. Caused by the network or by what stands between the peers; a client
 * dials again by itself.
 *
 * **Example** (Saying what the network did)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "LinkError",
 *     (reason) => Effect.succeed(`no link: ${reason.description}`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class LinkError extends Schema.Error<LinkError>("effect-swaggersocket/SwaggerSocketError/LinkError")({
  _tag: Schema.tag("LinkError"),
  phase: Schema.Literals(["open", "read", "write"]),
  description: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return oneLine(`The link failed (${this.phase}): ${this.description}`)
  }
}

/**
 * One end refused the handshake (PROTOCOL.md, "refuse"). `initiator` says which; `retry` whether the same attempt may
 * succeed later, and `path` which field of the metadata was at fault.
 *
 * **Example** (Asking for other credentials)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason("SwaggerSocketError", "HandshakeRefused", (reason) =>
 *     reason.code === "UNAUTHENTICATED" ? Effect.succeed("log in again") : Effect.succeed(reason.description))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeRefused
  extends Schema.Error<HandshakeRefused>("effect-swaggersocket/SwaggerSocketError/HandshakeRefused")({
    _tag: Schema.tag("HandshakeRefused"),
    initiator: Initiator,
    code: RefusalCodeSchema,
    description: Schema.String,
    retry: Schema.Boolean,
    path: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Int])))
  })
{
  override get message(): string {
    const at = this.path === undefined || this.path.length === 0 ? "" : ` at ${this.path.join(".")}`
    return oneLine(`The handshake was refused by the ${this.initiator} end: ${this.code}${at}: ${this.description}`)
  }
}

/**
 * The rules of the wire were broken (PROTOCOL.md, "Errors"). `initiator: "remote"`: by the peer, and this end closed
 * the connection; `"local"`: by this end, in the view of the peer, which closed it. A bug of one of the two, or an
 * incompatible version.
 *
 * **Example** (Telling whose fault it is)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "ProtocolViolation",
 *     (reason) => Effect.succeed(`${reason.initiator}: ${reason.code}`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtocolViolation
  extends Schema.Error<ProtocolViolation>("effect-swaggersocket/SwaggerSocketError/ProtocolViolation")({
    _tag: Schema.tag("ProtocolViolation"),
    initiator: Initiator,
    code: ErrorCodeSchema,
    description: Schema.String
  })
{
  override get message(): string {
    return oneLine(`The ${this.initiator} end broke the protocol: ${this.code}: ${this.description}`)
  }
}

/**
 * The peer has gone silent: nothing at all arrived within `timeoutMillis` of a ping (PROTOCOL.md, "Heartbeat").
 *
 * **Example** (Saying how long nothing came)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "HeartbeatTimeout",
 *     (reason) => Effect.succeed(`silent for ${reason.timeoutMillis} ms`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class HeartbeatTimeout
  extends Schema.Error<HeartbeatTimeout>("effect-swaggersocket/SwaggerSocketError/HeartbeatTimeout")({
    _tag: Schema.tag("HeartbeatTimeout"),
    timeoutMillis: Schema.Number
  })
{
  override get message(): string {
    return `Nothing was received within ${this.timeoutMillis} ms of a ping`
  }
}

/**
 * The connection was closed in good order, by this end or by the peer (PROTOCOL.md, "Close codes").
 *
 * **Example** (The code of an application)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "ConnectionClosed",
 *     (reason) => Effect.succeed(reason.code === 4500 ? "moved" : reason.closeReason)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionClosed
  extends Schema.Error<ConnectionClosed>("effect-swaggersocket/SwaggerSocketError/ConnectionClosed")({
    _tag: Schema.tag("ConnectionClosed"),
    initiator: Initiator,
    code: Schema.Int,
    closeReason: Schema.String
  })
{
  override get message(): string {
    const reason = this.closeReason === "" ? "" : `: ${this.closeReason}`
    return oneLine(`The connection was closed by the ${this.initiator} end (${this.code}${reason})`)
  }
}

/**
 * The link was lost, and the connection could not be resumed: its session is over (PROTOCOL.md, "When a session is
 * lost"). `because` says why, `cause` is how the link was lost.
 *
 * - `"expired"`: nobody resumed it in time (`Limits.resumeWindow`), or too much was kept for others
 * - `"restarted"`: the server has lost its memory, or another one has answered
 * - `"rejected"`: the server did not take the resume token, or not from this principal
 *
 * **Example** (Asking again what may have changed)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "SessionLost",
 *     (reason) => Effect.succeed(`ask again: ${reason.because}`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLost extends Schema.Error<SessionLost>("effect-swaggersocket/SwaggerSocketError/SessionLost")({
  _tag: Schema.tag("SessionLost"),
  because: Schema.Literals(["expired", "restarted", "rejected"]),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const cause = Predicate.hasProperty(this.cause, "message") ? `: ${String(this.cause.message)}` : ""
    return `The session was lost (${this.because})${cause}`
  }
}

/**
 * The server has no open connection with this id.
 *
 * **Example** (A device that is not there)
 *
 * ```ts
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Effect from "effect/Effect"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "ConnectionNotFound",
 *     (reason) => Effect.succeed(`no device ${reason.connectionId}`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionNotFound
  extends Schema.Error<ConnectionNotFound>("effect-swaggersocket/SwaggerSocketError/ConnectionNotFound")({
    _tag: Schema.tag("ConnectionNotFound"),
    connectionId: Schema.String
  })
{
  override get message(): string {
    return `There is no connection ${this.connectionId}`
  }
}

/**
 * A call ended before its time: its stream was reset (PROTOCOL.md, "RESET" and "Cancellation"). `initiator` says by
 * whom. `REFUSED_STREAM` and `NOT_SERVING` mean that the peer did not process it; `MALFORMED` and `HEAD_TOO_LARGE` that
 * the message broke a rule of HTTP or a limit; `INTERNAL_ERROR` that the handler failed after its head was sent.
 *
 * **Example** (Why a call ended)
 *
 * ```ts
 * import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import type * as HttpClientError from "effect/http/HttpClientError"
 *
 * export const explain = ({ reason }: HttpClientError.HttpClientError) =>
 *   "cause" in reason && isSwaggerSocketError(reason.cause) && reason.cause.reason._tag === "StreamReset"
 *     ? reason.cause.reason.code
 *     : reason._tag
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamReset extends Schema.Error<StreamReset>("effect-swaggersocket/SwaggerSocketError/StreamReset")({
  _tag: Schema.tag("StreamReset"),
  initiator: Initiator,
  code: ErrorCodeSchema,
  description: Schema.String,
  outcome: Outcome
}) {
  override get message(): string {
    const text = this.description === "" ? "" : `: ${this.description}`
    return oneLine(`The stream was reset by the ${this.initiator} end (${this.code}${text}; ${this.outcome})`)
  }
}

/**
 * A call was in flight when its connection ended. `cause` is what ended the connection.
 *
 * **Example** (What a call was lost with)
 *
 * ```ts
 * import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import type * as HttpClientError from "effect/http/HttpClientError"
 *
 * export const explain = ({ reason }: HttpClientError.HttpClientError) =>
 *   "cause" in reason && isSwaggerSocketError(reason.cause) && reason.cause.reason._tag === "ConnectionLost"
 *     ? reason.cause.reason.description
 *     : reason._tag
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectionLost
  extends Schema.Error<ConnectionLost>("effect-swaggersocket/SwaggerSocketError/ConnectionLost")({
    _tag: Schema.tag("ConnectionLost"),
    description: Schema.String,
    outcome: Outcome,
    cause: Schema.optionalKey(Schema.Defect())
  })
{
  override get message(): string {
    return oneLine(`The connection was lost: ${this.description} (${this.outcome})`)
  }
}

/**
 * The request or response can't be expressed: a field with a control character, a path with a `%` that begins no
 * escape, a method that is no token, a body of another length than it was said to have. Nothing was sent, and
 * `outcomeOf` says so.
 *
 * **Example** (What is wrong with a request)
 *
 * ```ts
 * import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import type * as HttpClientError from "effect/http/HttpClientError"
 *
 * export const explain = ({ reason }: HttpClientError.HttpClientError) =>
 *   "cause" in reason && isSwaggerSocketError(reason.cause) && reason.cause.reason._tag === "InvalidMessage"
 *     ? reason.cause.reason.description
 *     : reason._tag
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMessage
  extends Schema.Error<InvalidMessage>("effect-swaggersocket/SwaggerSocketError/InvalidMessage")({
    _tag: Schema.tag("InvalidMessage"),
    description: Schema.String
  })
{
  get outcome(): Outcome {
    return "not-sent"
  }

  override get message(): string {
    return `The message can't be sent: ${this.description}`
  }
}

/**
 * What a `SwaggerSocketError` may say of itself, told apart by `_tag`.
 *
 * @since 0.1.0
 * @category errors
 */
export type SwaggerSocketErrorReason =
  | LinkError
  | HandshakeRefused
  | ProtocolViolation
  | HeartbeatTimeout
  | ConnectionClosed
  | ConnectionNotFound
  | StreamReset
  | SessionLost
  | ConnectionLost
  | InvalidMessage

/**
 * The schema of all reasons, for logs that are read by programs.
 *
 * **Example** (A reason as JSON)
 *
 * ```ts
 * import { SwaggerSocketErrorReason } from "effect-swaggersocket/SwaggerSocketError"
 * import * as Schema from "effect/Schema"
 *
 * export const encode = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(SwaggerSocketErrorReason)))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const SwaggerSocketErrorReason: Schema.Union<
  readonly [
    typeof LinkError,
    typeof HandshakeRefused,
    typeof ProtocolViolation,
    typeof HeartbeatTimeout,
    typeof ConnectionClosed,
    typeof ConnectionNotFound,
    typeof StreamReset,
    typeof SessionLost,
    typeof ConnectionLost,
    typeof InvalidMessage
  ]
> = Schema.Union([
  LinkError,
  HandshakeRefused,
  ProtocolViolation,
  HeartbeatTimeout,
  ConnectionClosed,
  ConnectionNotFound,
  StreamReset,
  SessionLost,
  ConnectionLost,
  InvalidMessage
])

/**
 * Everything that can fail in this package.
 *
 * **Example** (Telling reasons apart)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 *
 * declare const connect: Effect.Effect<string, SwaggerSocketError>
 *
 * export const program = connect.pipe(
 *   Effect.catchReason(
 *     "SwaggerSocketError",
 *     "HandshakeRefused",
 *     (reason) => Effect.succeed(`refused: ${reason.code}`)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SwaggerSocketError extends Schema.TaggedError<SwaggerSocketError>(TypeId)("SwaggerSocketError", {
  reason: SwaggerSocketErrorReason,
  /** What is known of the call that failed with it, where its reason does not say. */
  outcome: Schema.optionalKey(Outcome)
}) {
  readonly [TypeId]: typeof TypeId = TypeId

  /** What logs and stack traces begin with. */
  override get name(): string {
    return "SwaggerSocketError"
  }

  override get message(): string {
    return this.reason.message
  }
}

/**
 * Whether a value is a `SwaggerSocketError`.
 *
 * **Example** (What is behind a failed call)
 *
 * ```ts
 * import { isSwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
 * import type * as HttpClientError from "effect/http/HttpClientError"
 *
 * export const tagOf = ({ reason }: HttpClientError.HttpClientError) =>
 *   "cause" in reason && isSwaggerSocketError(reason.cause) ? reason.cause.reason._tag : reason._tag
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isSwaggerSocketError = (u: unknown): u is SwaggerSocketError => Predicate.hasProperty(u, TypeId)

/**
 * The `SwaggerSocketError` behind a failure: behind the `HttpClientError` of a call, behind the `TypeError` that a `fetch` of
 * `ApiClient.toFetch` or its body rejects with, and behind any error of which one of these is the `cause`. `undefined` when there
 * is none.
 *
 * **Example** (Why a fetch has failed)
 *
 * ```ts
 * import { failureOf } from "effect-swaggersocket/SwaggerSocketError"
 *
 * export const explain = (error: unknown) => failureOf(error)?.reason._tag ?? "something else"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const failureOf = (error: unknown): SwaggerSocketError | undefined => {
  if (isSwaggerSocketError(error)) return error
  if (HttpClientError.isHttpClientError(error)) {
    return "cause" in error.reason ? failureOf(error.reason.cause) : undefined
  }
  return error instanceof Error ? failureOf(error.cause) : undefined
}

/**
 * Whether a failed call may be repeated, read from whatever `failureOf` reads: a `SwaggerSocketError`, the `HttpClientError` that wraps
 * it, the `TypeError` of a `fetch`, and others. `undefined` when the failure says nothing about it.
 *
 * **Example** (Repeating what is safe to repeat)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type * as HttpClientError from "effect/http/HttpClientError"
 * import { outcomeOf } from "effect-swaggersocket/SwaggerSocketError"
 *
 * declare const order: Effect.Effect<void, HttpClientError.HttpClientError>
 *
 * export const program = order.pipe(
 *   Effect.retry({ times: 3, while: (error) => outcomeOf(error) === "not-processed" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const outcomeOf = (error: unknown): Outcome | undefined => {
  const failure = failureOf(error)
  return failure !== undefined && "outcome" in failure.reason ? failure.reason.outcome : failure?.outcome
}

/**
 * What both sides of a handshake take and give; `Handshake` shows it to users.
 */
import type * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Settings } from "../streams/settings.ts"

/**
 * What an authentication effect fails with to turn a client away. `code` and `reason` reach the client; put nothing
 * secret in them. `retry` tells it whether to dial again; by default it does after `OVERLOADED` and `GOING_AWAY`.
 *
 * **Example** (Refusing an unknown token)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Handshake from "effect-swaggersocket/Handshake"
 *
 * export const authenticate = ({ headers }: Handshake.Upgrade) =>
 *   headers.authorization === "Bearer secret"
 *     ? Effect.succeed("admin")
 *     : Effect.fail(new Handshake.Refusal({ code: "UNAUTHENTICATED", reason: "unknown token" }))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class Refusal extends Schema.TaggedError<Refusal>()("Refusal", {
  code: Schema.Literals(["UNAUTHENTICATED", "FORBIDDEN", "OVERLOADED", "GOING_AWAY"]),
  reason: Schema.String,
  retry: Schema.optionalKey(Schema.Boolean)
}) {}

/**
 * What is known of a client before its metadata: the upgrade request that it dialled with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Upgrade {
  /** Fields of the upgrade request. */
  readonly headers: Headers.Headers
  /** Path and query of the upgrade request. */
  readonly url: string
  /** Address of the client, where the platform tells it. */
  readonly remoteAddress: Option.Option<string>
}

/**
 * The link, as a handshake uses it: text messages one by one.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandshakeLink {
  /** The next message. */
  readonly receive: Effect.Effect<Uint8Array | string, SwaggerSocketError>
  /** Sends a message. */
  readonly send: (message: string) => Effect.Effect<void, SwaggerSocketError>
}

/**
 * What an end that wants a session says of it (PROTOCOL.md, "Sessions").
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionSettings {
  /** How long a connection without a link is kept. */
  readonly windowMillis: number
  /** Bytes of unacknowledged messages that this end keeps. */
  readonly replayBuffer: number
}

/**
 * What a client says to go on with a connection whose link was lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resume {
  /** The id of that connection. */
  readonly connectionId: string
  /** That of the last welcome. */
  readonly token: Redacted.Redacted
  /** That of the last welcome. */
  readonly epoch: string
  /** Counted messages that the client has received. */
  readonly received: number
  /**
   * Counts the client's attempts to go on with this connection, from 1: one with a lower number was given up by the client,
   * however late it arrives. Absent where a client does not count.
   */
  readonly attempt?: number | undefined
}

/**
 * What a server says of the session it keeps.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session extends SessionSettings {
  /** The secret that the connection can be resumed with, until the next welcome. */
  readonly token: Redacted.Redacted
  /** Tells one memory of sessions from another: it changes when the server is restarted. */
  readonly epoch: string
  /** Counted messages that the server has received, when the connection is resumed. */
  readonly received?: number | undefined
}

/**
 * What a server answers a client that it lets in (PROTOCOL.md, "welcome").
 *
 * @since 0.1.0
 * @category models
 */
export interface Welcome {
  /** The id of the connection, new or resumed. */
  readonly connectionId: string
  /** Whether an earlier connection goes on. */
  readonly resumed: boolean
  /** Absent: the connection ends with its link. */
  readonly session?: Session | undefined
}

/**
 * A client, as its hello and its authentication describe it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hello<M, P> {
  /** What it says of itself, decoded. */
  readonly metadata: M
  /** What authentication gave. */
  readonly principal: P
  /** What the client announced. */
  readonly settings: Settings
  /** Present when the client wants a session. */
  readonly session: SessionSettings | undefined
  /** Present when the client wants to go on with a connection. */
  readonly resume: Resume | undefined
}

/**
 * What the server's side of a handshake is given: what to announce, and how to decide.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptOptions<M, P> {
  /** What this end announces. */
  readonly settings: Settings
  /** `maxHandshakeSize` bounds what is read; the caller sees to `handshakeTimeout`. */
  readonly limits: Limits
  /** The request that the client dialled with. */
  readonly upgrade: Upgrade
  /** Decodes what the client sent as metadata. */
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  /** Fails with the end of the link when that comes first. */
  readonly authenticate: (metadata: M) => Effect.Effect<P, Refusal | SwaggerSocketError>
  /**
   * Decides which connection the client gets, or refuses with `HandshakeRefused`. To be run right before the welcome is
   * sent: or behind it, with the `connectionId` that the client was told.
   */
  readonly welcome: (hello: Hello<M, P>, connectionId?: string) => Effect.Effect<Welcome, SwaggerSocketError>
}

/**
 * What the server's side of a handshake gives: who the client is, and what it was told.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accepted<M, P> {
  /** What the client said, and whoever it is. */
  readonly hello: Hello<M, P>
  /** What it was answered. */
  readonly welcome: Welcome
  /** Waits for the client to be ready; the welcome is on its way. */
  readonly ready: Effect.Effect<void, SwaggerSocketError>
}

/**
 * What the client's side of a handshake is given: what to announce, and what to go on with.
 *
 * @since 0.1.0
 * @category models
 */
export interface DialOptions {
  /** What this end announces. */
  readonly settings: Settings
  /** `maxHandshakeSize` bounds what is read; the caller sees to `handshakeTimeout`. */
  readonly limits: Limits
  /** What this client says of itself, as JSON. */
  readonly metadata: unknown
  /** Present when this client wants a session. */
  readonly session?: SessionSettings | undefined
  /** The connection to go on with. */
  readonly resume?: Resume | undefined
  /**
   * To be called with the session of a connection that is resumed, before `ready` is sent: from `ready` on only the new
   * token is valid, even if this attempt fails.
   */
  readonly onResumed?: ((session: Session) => void) | undefined
  /**
   * To be asked when the server begins another connection than the one to go on with: `false` where the client has another
   * one already, or goes away. No `ready` is sent then.
   */
  readonly mayBegin?: (() => boolean) | undefined
}

/**
 * What the client's side of a handshake gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Welcomed extends Welcome {
  /** What the server announced. */
  readonly settings: Settings
}

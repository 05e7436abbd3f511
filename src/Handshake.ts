/**
 * The three-way handshake that makes a link a connection (PROTOCOL.md, "Handshake"): `hello` with the client's metadata,
 * `welcome` or `refuse`, `ready`.
 *
 * `Handshake` is a service with a default; provide another to change how connections begin, with peers that know it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { utf8Length } from "./internal/frame/bytes.ts"
import { RefusalCode } from "./internal/frame/errorCode.ts"
import { invalid, metadataInvalid, refused, turnedAway } from "./internal/handshakeRefusal.ts"
import type { Settings } from "./internal/streams/settings.ts"
import { defaults, type Limits, minReplayBuffer, settingRanges } from "./Limits.ts"
import type { RefusalCode as RefusalCodeName, SwaggerSocketError } from "./SwaggerSocketError.ts"

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
  readonly remoteAddress: Option.Option<string>
}

/**
 * The link, as a handshake uses it: text messages one by one.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandshakeLink {
  readonly receive: Effect.Effect<Uint8Array | string, SwaggerSocketError>
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
  readonly connectionId: string
  /** That of the last welcome. */
  readonly token: Redacted.Redacted
  readonly epoch: string
  /** Counted messages that the client has received. */
  readonly received: number
}

/**
 * What a server says of the session it keeps.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session extends SessionSettings {
  readonly token: Redacted.Redacted
  readonly epoch: string
  /** Counted messages that the server has received, when the connection is resumed. */
  readonly received?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Welcome {
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
  readonly metadata: M
  readonly principal: P
  /** What the client announced. */
  readonly settings: Settings
  /** Present when the client wants a session. */
  readonly session: SessionSettings | undefined
  readonly resume: Resume | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AcceptOptions<M, P> {
  readonly settings: Settings
  readonly limits: Limits
  readonly upgrade: Upgrade
  /** Decodes what the client sent as metadata. */
  readonly decodeMetadata: (metadata: unknown) => Effect.Effect<M, Schema.SchemaError>
  readonly authenticate: (metadata: M) => Effect.Effect<P, Refusal>
  /**
   * Decides which connection it is, or refuses with `HandshakeRefused`. Runs right before the welcome is sent, or has been
   * sent with `connectionId`.
   */
  readonly welcome: (hello: Hello<M, P>, connectionId?: string) => Effect.Effect<Welcome, SwaggerSocketError>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Accepted<M, P> {
  readonly hello: Hello<M, P>
  readonly welcome: Welcome
  /** Waits for the client to be ready; the welcome is on its way. */
  readonly ready: Effect.Effect<void, SwaggerSocketError>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface DialOptions {
  readonly settings: Settings
  readonly limits: Limits
  /** JSON. */
  readonly metadata: unknown
  /** Present when this client wants a session. */
  readonly session?: SessionSettings | undefined
  /** The connection to go on with. */
  readonly resume?: Resume | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Welcomed extends Welcome {
  /** What the server announced. */
  readonly settings: Settings
}

/**
 * How both ends begin a connection. The default does what PROTOCOL.md says.
 *
 * @since 0.1.0
 * @category services
 */
export const Handshake: Context.Reference<{
  readonly accept: <M, P>(
    link: HandshakeLink,
    options: AcceptOptions<M, P>
  ) => Effect.Effect<Accepted<M, P>, SwaggerSocketError>
  readonly dial: (link: HandshakeLink, options: DialOptions) => Effect.Effect<Welcomed, SwaggerSocketError>
}> = Context.Reference("effect-swaggersocket/Handshake", { defaultValue: () => ({ accept, dial }) })

/**
 * Replaces the handshake.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (handshake: typeof Handshake.Service): Layer.Layer<never> => Layer.succeed(Handshake, handshake)

// --- messages --------------------------------------------------------------------------------------------------------

const version = 2

const setting = (name: keyof typeof settingRanges) => {
  const [minimum, maximum] = settingRanges[name]
  return Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
}

const SettingsMessage = Schema.Struct({
  maxMessageSize: setting("maxMessageSize"),
  maxFrameSize: setting("maxFrameSize"),
  maxHeadSize: setting("maxHeadSize"),
  maxConcurrentStreams: setting("maxConcurrentStreams"),
  streamWindow: setting("streamWindow"),
  connectionWindow: setting("connectionWindow"),
  headTableSize: setting("headTableSize")
})

const UInt = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

const sessionMembers = {
  windowMillis: UInt,
  replayBuffer: Schema.Int.check(Schema.isBetween({ minimum: minReplayBuffer, maximum: Number.MAX_SAFE_INTEGER }))
}

const Token = Schema.RedactedFromValue(Schema.String)

const Hello = Schema.Struct({
  type: Schema.Literal("hello"),
  version: Schema.Int,
  metadata: Schema.optionalKey(Schema.Unknown),
  settings: Schema.optionalKey(SettingsMessage),
  session: Schema.optionalKey(Schema.Struct(sessionMembers)),
  resume: Schema.optionalKey(
    Schema.Struct({ connectionId: Schema.String, token: Token, epoch: Schema.String, received: UInt })
  )
})

const Welcome = Schema.Struct({
  type: Schema.Literal("welcome"),
  version: Schema.Int,
  connectionId: Schema.NonEmptyString,
  settings: Schema.optionalKey(SettingsMessage),
  resumed: Schema.Boolean,
  session: Schema.optionalKey(
    Schema.Struct({ ...sessionMembers, token: Token, epoch: Schema.String, received: Schema.optionalKey(UInt) })
  )
})

const Refuse = Schema.Struct({
  type: Schema.Literal("refuse"),
  code: Schema.String,
  reason: Schema.String,
  retry: Schema.Boolean,
  path: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Int])))
})

const Ready = Schema.Struct({ type: Schema.Literal("ready") })

/** Read before the rest, which another version may shape as it likes. */
const Version = Schema.Struct({ type: Schema.Literal("hello"), version: Schema.Int })

const decodeVersion = Schema.decodeUnknownEffect(Schema.fromJsonString(Version))
const decodeHello = Schema.decodeUnknownEffect(Schema.fromJsonString(Hello))
const decodeAnswer = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Union([Welcome, Refuse])))
const decodeReady = Schema.decodeUnknownEffect(Schema.fromJsonString(Ready))

const settingNames = Object.keys(settingRanges) as ReadonlyArray<keyof Settings>

/** The settings among other things, and the defaults of those that were left out. */
const settingsOf = (given: { readonly [Name in keyof Settings]?: number | undefined } = {}): Settings =>
  Object.fromEntries(settingNames.map((name) => [name, given[name] ?? defaults[name]])) as unknown as Settings

const text = (
  message: Uint8Array | string,
  expected: string,
  limits: Limits
): Effect.Effect<string, SwaggerSocketError> => {
  if (!Predicate.isString(message)) {
    return Effect.fail(refused("local", "HANDSHAKE_INVALID", `a binary message instead of ${expected}`))
  }
  return utf8Length(message) > limits.maxHandshakeSize
    ? Effect.fail(refused("local", "HANDSHAKE_INVALID", `more than ${limits.maxHandshakeSize} bytes of ${expected}`))
    : Effect.succeed(message)
}

// --- server ----------------------------------------------------------------------------------------------------------

/** Reads hello, and decides; whatever is refused, the client learns why. */
const judge = Effect.fnUntraced(
  function*<M, P>(
    link: HandshakeLink,
    options: AcceptOptions<M, P>
  ): Effect.fn.Return<Omit<Accepted<M, P>, "ready">, SwaggerSocketError> {
    const message = yield* text(yield* link.receive, "hello", options.limits)
    const spoken = (yield* Effect.mapError(decodeVersion(message), invalid("hello"))).version
    if (spoken !== version) {
      return yield* refused("local", "VERSION_UNSUPPORTED", `version ${spoken}, this end speaks ${version}`)
    }
    const { metadata: sent, resume, session, settings } = yield* Effect.mapError(decodeHello(message), invalid("hello"))
    const metadata = yield* Effect.mapError(options.decodeMetadata(sent ?? null), metadataInvalid)
    const principal = yield* Effect.mapError(options.authenticate(metadata), turnedAway)
    const hello = { metadata, principal, settings: settingsOf(settings), session, resume }
    return { hello, welcome: yield* options.welcome(hello) }
  },
  (effect, link) =>
    Effect.tapError(effect, ({ reason }) =>
      reason._tag === "HandshakeRefused" && reason.initiator === "local"
        ? Effect.ignore(link.send(JSON.stringify({
          type: "refuse",
          code: reason.code,
          reason: reason.description,
          retry: reason.retry,
          path: reason.path
        })))
        : Effect.void)
)

const accept = Effect.fnUntraced(function*<M, P>(
  link: HandshakeLink,
  options: AcceptOptions<M, P>
): Effect.fn.Return<Accepted<M, P>, SwaggerSocketError> {
  const { hello, welcome } = yield* judge(link, options)
  yield* link.send(JSON.stringify({
    type: "welcome",
    version,
    settings: settingsOf(options.settings),
    ...welcome,
    session: welcome.session && { ...welcome.session, token: Redacted.value(welcome.session.token) }
  }))
  return {
    hello,
    welcome,
    ready: Effect.gen(function*() {
      const ready = yield* text(yield* link.receive, "ready", options.limits)
      yield* Effect.mapError(decodeReady(ready), invalid("ready"))
    })
  }
})

// --- client ----------------------------------------------------------------------------------------------------------

const dial = Effect.fnUntraced(function*(
  link: HandshakeLink,
  { limits, metadata, resume, session, settings }: DialOptions
): Effect.fn.Return<Welcomed, SwaggerSocketError> {
  yield* link.send(JSON.stringify({
    type: "hello",
    version,
    metadata: metadata ?? null,
    settings: settingsOf(settings),
    session,
    resume: resume && { ...resume, token: Redacted.value(resume.token) }
  }))
  const message = yield* text(yield* link.receive, "welcome", limits)
  const answer = yield* Effect.mapError(decodeAnswer(message), invalid("welcome"))
  if (answer.type === "refuse") {
    const code = answer.code in RefusalCode ? answer.code as RefusalCodeName : "HANDSHAKE_INVALID"
    return yield* refused("remote", code, answer.reason, answer.path, answer.retry)
  }
  if (answer.version !== version) {
    return yield* refused("local", "HANDSHAKE_INVALID", `welcome of version ${answer.version}, not ${version}`)
  }
  if (answer.resumed && (answer.connectionId !== resume?.connectionId || answer.session?.received === undefined)) {
    return yield* refused("local", "HANDSHAKE_INVALID", "welcome to another connection than was asked for")
  }
  yield* link.send(JSON.stringify({ type: "ready" }))
  const { connectionId, resumed } = answer
  return { connectionId, resumed, session: session && answer.session, settings: settingsOf(answer.settings) }
})

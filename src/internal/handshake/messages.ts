/**
 * The messages of the handshake (PROTOCOL.md, "Handshake"). Each is written through the schema that reads it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { utf8Length } from "../frame/bytes.ts"
import { invalid, refused } from "../link/refusal.ts"
import type { Settings } from "../streams/settings.ts"
import { mapSettings, minReplayBuffer } from "./settings.ts"

/** @internal */
export const version = 2

const SettingsMessage = Schema.Struct(
  mapSettings(([minimum, maximum]) => Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum, maximum }))))
)

const UInt = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

const sessionMembers = {
  windowMillis: UInt,
  replayBuffer: Schema.Int.check(Schema.isBetween({ minimum: minReplayBuffer, maximum: Number.MAX_SAFE_INTEGER }))
}

/** As `Schema.RedactedFromValue`, which would add to a page what prints and compares redacted values: 0.6 kB. */
const Token = Schema.String.pipe(
  Schema.decodeTo(
    Schema.declare((value): value is Redacted.Redacted => Redacted.isRedacted(value)),
    SchemaTransformation.transform({
      decode: (token) => Redacted.make(token),
      encode: (token) => Redacted.value(token)
    })
  )
)

/** @internal */
export const Hello = Schema.Struct({
  type: Schema.Literal("hello"),
  version: Schema.Int,
  metadata: Schema.optionalKey(Schema.Unknown),
  settings: Schema.optionalKey(SettingsMessage),
  session: Schema.optionalKey(Schema.Struct(sessionMembers)),
  resume: Schema.optionalKey(
    Schema.Struct({
      connectionId: Schema.String,
      token: Token,
      epoch: Schema.String,
      received: UInt,
      attempt: Schema.optionalKey(UInt.check(Schema.isGreaterThan(0)))
    })
  )
})

/** @internal */
export const Welcome = Schema.Struct({
  type: Schema.Literal("welcome"),
  version: Schema.Int,
  connectionId: Schema.NonEmptyString,
  settings: Schema.optionalKey(SettingsMessage),
  resumed: Schema.Boolean,
  session: Schema.optionalKey(
    Schema.Struct({ ...sessionMembers, token: Token, epoch: Schema.String, received: Schema.optionalKey(UInt) })
  )
})

/** @internal */
export const Refuse = Schema.Struct({
  type: Schema.Literal("refuse"),
  code: Schema.String,
  reason: Schema.String,
  retry: Schema.Boolean,
  path: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, Schema.Int])))
})

/** @internal */
export const Ready = Schema.Struct({ type: Schema.Literal("ready") })

/** Writes a message. One that its schema does not take is the fault of the part that made it, not of the peer. @internal */
export const writer = <S extends Schema.ConstraintEncoder<unknown>>(
  schema: S,
  name: string
): (message: S["Type"]) => Effect.Effect<string, SwaggerSocketError> => {
  const encode = Schema.encodeEffect(Schema.fromJsonString(schema))
  return (message) => Effect.mapError(encode(message), invalid(name))
}

/** Leaves out the members that are `undefined`. @internal */
export const present = <A extends object>(members: A): { readonly [K in keyof A]: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never

/** The settings among other things, and the defaults of those that were left out. @internal */
export const settingsOf = (given: { readonly [Name in keyof Settings]?: number | undefined } = {}): Settings =>
  mapSettings(([, , standard], name) => given[name] ?? standard)

/** A handshake message as text. @internal */
export const text = (
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

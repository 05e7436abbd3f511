/**
 * What the messages of the handshake have in common (PROTOCOL.md, "Handshake").
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { defaults, type Limits, minReplayBuffer, settingRanges } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { utf8Length } from "../frame/bytes.ts"
import type { Settings } from "../streams/settings.ts"
import { refused } from "./refusal.ts"

/** @internal */
export const version = 2

const setting = (name: keyof typeof settingRanges) => {
  const [minimum, maximum] = settingRanges[name]
  return Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
}

/** @internal */
export const SettingsMessage = Schema.Struct({
  maxMessageSize: setting("maxMessageSize"),
  maxFrameSize: setting("maxFrameSize"),
  maxHeadSize: setting("maxHeadSize"),
  maxConcurrentStreams: setting("maxConcurrentStreams"),
  streamWindow: setting("streamWindow"),
  connectionWindow: setting("connectionWindow"),
  headTableSize: setting("headTableSize")
})

/** @internal */
export const UInt = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** @internal */
export const sessionMembers = {
  windowMillis: UInt,
  replayBuffer: Schema.Int.check(Schema.isBetween({ minimum: minReplayBuffer, maximum: Number.MAX_SAFE_INTEGER }))
}

/** @internal */
export const Token = Schema.RedactedFromValue(Schema.String)

const settingNames = Object.keys(settingRanges) as ReadonlyArray<keyof Settings>

/** The settings among other things, and the defaults of those that were left out. @internal */
export const settingsOf = (given: { readonly [Name in keyof Settings]?: number | undefined } = {}): Settings =>
  Object.fromEntries(settingNames.map((name) => [name, given[name] ?? defaults[name]])) as unknown as Settings

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

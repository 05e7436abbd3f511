/**
 * The client's side of the handshake: `hello`, then `welcome` or `refuse`, then `ready` (PROTOCOL.md, "Handshake").
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { RefusalCode as RefusalCodeName, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { RefusalCode } from "../frame/errorCode.ts"
import { sessionMembers, SettingsMessage, settingsOf, text, Token, UInt, version } from "./messages.ts"
import type { DialOptions, HandshakeLink, Welcomed } from "./model.ts"
import { invalid, refused } from "./refusal.ts"

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

const decodeAnswer = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Union([Welcome, Refuse])))

/** @internal */
export const dial = Effect.fnUntraced(function*(
  link: HandshakeLink,
  { limits, metadata, onResumed, resume, session, settings }: DialOptions
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
    const code = Object.hasOwn(RefusalCode, answer.code) ? answer.code as RefusalCodeName : "HANDSHAKE_INVALID"
    return yield* refused("remote", code, answer.reason, answer.path, answer.retry)
  }
  if (answer.version !== version) {
    return yield* refused("local", "HANDSHAKE_INVALID", `welcome of version ${answer.version}, not ${version}`)
  }
  if (answer.resumed && (answer.connectionId !== resume?.connectionId || answer.session?.received === undefined)) {
    return yield* refused("local", "HANDSHAKE_INVALID", "welcome to another connection than was asked for")
  }
  const { connectionId, resumed } = answer
  if (resumed) onResumed?.(answer.session!)
  yield* link.send(JSON.stringify({ type: "ready" }))
  return { connectionId, resumed, session: session && answer.session, settings: settingsOf(answer.settings) }
})

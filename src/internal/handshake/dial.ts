/**
 * The client's side of the handshake: `hello`, then `welcome` or `refuse`, then `ready` (PROTOCOL.md, "Handshake").
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { RefusalCode as RefusalCodeName, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { RefusalCode } from "../frame/codes.ts"
import { invalid, refused } from "../link/refusal.ts"
import { Hello, present, Ready, Refuse, settingsOf, text, version, Welcome, writer } from "./messages.ts"
import type { DialOptions, HandshakeLink, Welcomed } from "./model.ts"

const writeHello = writer(Hello, "hello")
const writeReady = writer(Ready, "ready")
const decodeAnswer = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Union([Welcome, Refuse])))

/** @internal */
export const dial = Effect.fnUntraced(function*(
  link: HandshakeLink,
  { limits, mayBegin, metadata, onResumed, resume, session, settings }: DialOptions
): Effect.fn.Return<Welcomed, SwaggerSocketError> {
  const hello = yield* writeHello({
    type: "hello",
    version,
    metadata: metadata ?? null,
    settings: settingsOf(settings),
    ...(session === undefined ? undefined : { session }),
    ...(resume === undefined ? undefined : { resume: present(resume) })
  })
  yield* link.send(yield* text(hello, "hello", limits))
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
  const ready = yield* writeReady({ type: "ready" })
  if (resumed) onResumed?.(answer.session!)
  if (resumed || mayBegin?.() !== false) yield* link.send(ready)
  return { connectionId, resumed, session: session && answer.session, settings: settingsOf(answer.settings) }
})

/** How a client begins a connection; `Handshake` shows it to users. @internal */
export const Dial: Context.Reference<
  (link: HandshakeLink, options: DialOptions) => Effect.Effect<Welcomed, SwaggerSocketError>
> = Context.Reference("effect-swaggersocket/Handshake/Dial", { defaultValue: () => dial })

/**
 * The server's side of the handshake: `hello`, then `welcome` or `refuse`, then `ready` (PROTOCOL.md, "Handshake").
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { invalid, refused, turnedAway } from "../link/refusal.ts"
import { Hello, present, Ready, Refuse, settingsOf, text, version, Welcome, writer } from "./messages.ts"
import { readMetadata } from "./metadata.ts"
import type { Accepted, AcceptOptions, HandshakeLink } from "./model.ts"

/** The members that every version has: read first, because the others may differ in another version. */
const Version = Schema.Struct({ type: Schema.Literal("hello"), version: Schema.Int })

const decodeVersion = Schema.decodeUnknownEffect(Schema.fromJsonString(Version))
const decodeHello = Schema.decodeUnknownEffect(Schema.fromJsonString(Hello))
const writeWelcome = writer(Welcome, "welcome")
const writeRefuse = writer(Refuse, "refuse")
const decodeReady = Schema.decodeUnknownEffect(Schema.fromJsonString(Ready))

/** Reads hello and decides. The client is told why it is refused, whatever the reason. */
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
    const metadata = yield* readMetadata(sent ?? null, options)
    const principal = yield* Effect.mapError(options.authenticate(metadata), turnedAway)
    const hello = { metadata, principal, settings: settingsOf(settings), session, resume }
    return { hello, welcome: yield* options.welcome(hello) }
  },
  (effect, link) =>
    Effect.tapError(effect, ({ reason }) =>
      reason._tag === "HandshakeRefused" && reason.initiator === "local"
        ? Effect.ignore(Effect.flatMap(
          writeRefuse({
            type: "refuse",
            code: reason.code,
            reason: reason.description,
            retry: reason.retry,
            ...(reason.path === undefined ? undefined : { path: reason.path })
          }),
          link.send
        ))
        : Effect.void)
)

/** @internal */
export const accept = Effect.fnUntraced(function*<M, P>(
  link: HandshakeLink,
  options: AcceptOptions<M, P>
): Effect.fn.Return<Accepted<M, P>, SwaggerSocketError> {
  const { hello, welcome } = yield* judge(link, options)
  const { connectionId, resumed, session } = welcome
  yield* link.send(
    yield* writeWelcome({
      type: "welcome",
      version,
      settings: settingsOf(options.settings),
      connectionId,
      resumed,
      ...(session === undefined ? undefined : { session: present(session) })
    })
  )
  return {
    hello,
    welcome,
    ready: Effect.gen(function*() {
      const ready = yield* text(yield* link.receive, "ready", options.limits)
      yield* Effect.mapError(decodeReady(ready), invalid("ready"))
    })
  }
})

/** How a server begins a connection; `Handshake` shows it to users. @internal */
// In a file of its own with the server's side, so that pages do not load it.
export const Accept: Context.Reference<
  <M, P>(link: HandshakeLink, options: AcceptOptions<M, P>) => Effect.Effect<Accepted<M, P>, SwaggerSocketError>
> = /* @__PURE__ */ Context.Reference("effect-swaggersocket/Handshake/Accept", { defaultValue: () => accept })

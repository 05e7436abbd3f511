/**
 * A handshake of one's own, of two messages: the client says its name and a password, the server says the id of the
 * connection. There are no sessions: a connection ends with its link.
 */
import * as Handshake from "effect-swaggersocket/Handshake"
import * as Limits from "effect-swaggersocket/Limits"
import { HandshakeRefused, LinkError, SwaggerSocketError } from "effect-swaggersocket/SwaggerSocketError"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Knock = Schema.fromJsonString(Schema.Struct({ knock: Schema.Json, password: Schema.String }))
const Open = Schema.fromJsonString(Schema.Struct({ open: Schema.String }))

const password = "sesame"

const broken = (description: string) =>
  new SwaggerSocketError({ reason: new LinkError({ phase: "read", description }) })

/** Neither end announces anything: both know what the other takes. */
const settings = Limits.defaults

const accept: typeof Handshake.Accept.Service = (link, options) =>
  Effect.gen(function*() {
    const message = yield* link.receive
    const knock = yield* Effect.mapError(Schema.decodeUnknownEffect(Knock)(message), (error) => broken(error.message))
    if (knock.password !== password) {
      return yield* new SwaggerSocketError({
        reason: new HandshakeRefused({
          initiator: "local",
          code: "UNAUTHENTICATED",
          description: "wrong password",
          retry: false
        })
      })
    }
    const metadata = yield* Effect.mapError(options.decodeMetadata(knock.knock), (error) => broken(error.message))
    // A refusal could be told to the client; here it only finds the door closed.
    const principal = yield* Effect.mapError(options.authenticate(metadata), (error) => broken(error.message))
    const hello = { metadata, principal, settings, session: undefined, resume: undefined }
    const { connectionId } = yield* options.welcome(hello)
    yield* link.send(JSON.stringify({ open: connectionId }))
    return { hello, welcome: { connectionId, resumed: false }, ready: Effect.void }
  })

const dial: typeof Handshake.Dial.Service = (link, { metadata }) =>
  Effect.gen(function*() {
    yield* link.send(JSON.stringify({ knock: metadata, password }))
    const message = yield* link.receive
    const { open } = yield* Effect.mapError(Schema.decodeUnknownEffect(Open)(message), (error) => broken(error.message))
    return { connectionId: open, resumed: false, settings }
  })

export const layer = Handshake.layer({ accept, dial })

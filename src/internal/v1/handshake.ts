/**
 * The handshake of wire v1 (PROTOCOL.md, "Wire v1"): the client's metadata, the connection's id, an acknowledgement; JSON
 * with a newline behind it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Accepted, AcceptOptions, DialOptions, HandshakeLink, Welcomed } from "../../Handshake.ts"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { invalid, metadataInvalid, refused, turnedAway } from "../handshakeRefusal.ts"
import { bytesOf } from "./format.ts"

const metadataType = "ClientHandshakeMetaData"
const connectionIdType = "ServerHandshakeConnectionID"
const ackType = "ClientHandshakeAckFrame"

const decodeObject = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

const Metadata = Schema.Struct({ type: Schema.Literal(metadataType), meta: Schema.optionalKey(Schema.Unknown) })
const ConnectionId = Schema.Struct({
  type: Schema.Literal(connectionIdType),
  connectionid: Schema.optionalKey(Schema.NullOr(Schema.String))
})
const Ack = Schema.Struct({ type: Schema.Literal(ackType) })

const decoder = new TextDecoder()

/** Reads a message as Go does: text or binary, whatever the case of its keys, and whatever else is in it. */
const read = <A>(
  link: HandshakeLink,
  schema: Schema.ConstraintDecoder<A>,
  expected: string,
  { maxHandshakeSize }: Limits
): Effect.Effect<A, SwaggerSocketError> =>
  Effect.flatMap(link.receive, (message) => {
    const bytes = bytesOf(message)
    if (bytes.length > maxHandshakeSize) {
      return Effect.fail(refused("local", "HANDSHAKE_INVALID", `more than ${maxHandshakeSize} bytes of ${expected}`))
    }
    return decodeObject(Predicate.isString(message) ? message : decoder.decode(bytes)).pipe(
      Effect.map((object) =>
        Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]))
      ),
      Effect.flatMap(Schema.decodeUnknownEffect(schema)),
      Effect.mapError(invalid(expected))
    )
  })

const write = (link: HandshakeLink, message: unknown) => link.send(`${JSON.stringify(message)}\n`)

/** @internal */
export const accept = Effect.fnUntraced(function*<M, P>(
  link: HandshakeLink,
  options: AcceptOptions<M, P>
): Effect.fn.Return<Accepted<M, P>, SwaggerSocketError> {
  const { limits, settings } = options
  const { meta = null } = yield* read(link, Metadata, metadataType, limits)
  const admitted = yield* Effect.result(Effect.gen(function*() {
    const metadata = yield* Effect.mapError(options.decodeMetadata(meta), metadataInvalid)
    const principal = yield* Effect.mapError(options.authenticate(metadata), turnedAway)
    const hello = { metadata, principal, settings, session: undefined, resume: undefined }
    return { hello, welcome: yield* options.welcome(hello) }
  }))
  const connectionId = Result.isSuccess(admitted)
    ? admitted.success.welcome.connectionId
    : globalThis.crypto.randomUUID()
  yield* write(link, { Type: connectionIdType, ConnectionID: connectionId })
  const acknowledged = read(link, Ack, ackType, limits)
  if (Result.isSuccess(admitted)) return { ...admitted.success, ready: Effect.asVoid(acknowledged) }
  // A Go client whose handshake fails panics. It is closed behind the handshake, and then leaves for good.
  yield* acknowledged
  return yield* admitted.failure
})

/** @internal */
export const dial = Effect.fnUntraced(function*(
  link: HandshakeLink,
  { limits, metadata, settings }: DialOptions
): Effect.fn.Return<Welcomed, SwaggerSocketError> {
  yield* write(link, { Type: metadataType, Meta: metadata ?? null })
  const { connectionid } = yield* read(link, ConnectionId, connectionIdType, limits)
  yield* write(link, { Type: ackType })
  // Go takes a connection without an id, too.
  return { connectionId: connectionid || globalThis.crypto.randomUUID(), resumed: false, settings }
})

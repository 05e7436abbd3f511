/**
 * The handshake of wire v1 (PROTOCOL-v1.md, "Wire v1"): the client's metadata, the connection's id, an acknowledgement; JSON
 * with a newline behind it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Limits } from "../../Limits.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { readMetadata } from "../handshake/metadata.ts"
import type { Accepted, AcceptOptions, DialOptions, HandshakeLink, Welcomed } from "../handshake/model.ts"
import { invalid, refused, turnedAway } from "../link/refusal.ts"
import type { Randomness } from "../scheduling/random.ts"
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
const decode = <A>(
  bytes: Uint8Array,
  schema: Schema.ConstraintDecoder<A>,
  expected: string
): Effect.Effect<A, SwaggerSocketError> =>
  decodeObject(decoder.decode(bytes)).pipe(
    Effect.map((object) =>
      Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]))
    ),
    Effect.flatMap(Schema.decodeUnknownEffect(schema)),
    Effect.mapError(invalid(expected))
  )

const tooLarge = (expected: string, { maxHandshakeSize }: Limits) =>
  refused("local", "HANDSHAKE_INVALID", `more than ${maxHandshakeSize} bytes of ${expected}`)

const read = <A>(
  link: HandshakeLink,
  schema: Schema.ConstraintDecoder<A>,
  expected: string,
  limits: Limits
): Effect.Effect<A, SwaggerSocketError> =>
  Effect.flatMap(link.receive, (message) => {
    const bytes = bytesOf(message)
    return bytes.length > limits.maxHandshakeSize
      ? Effect.fail(tooLarge(expected, limits))
      : decode(bytes, schema, expected)
  })

const write = (link: HandshakeLink, message: unknown) => link.send(`${JSON.stringify(message)}\n`)

/** `onAcknowledged` is called when the client considers itself connected. @internal */
export const accept = Effect.fnUntraced(function*<M, P>(
  link: HandshakeLink,
  options: AcceptOptions<M, P>,
  random: Randomness,
  onAcknowledged: () => void
): Effect.fn.Return<Accepted<M, P>, SwaggerSocketError> {
  const { limits, settings } = options
  const first = bytesOf(yield* link.receive)
  const isTooLarge = first.length > limits.maxHandshakeSize
  const { meta = null } = isTooLarge ? {} : yield* decode(first, Metadata, metadataType)
  // B14: a Go client panics if its handshake fails or takes long. A client that is refused is told after the handshake.
  const connectionId = yield* random.uuidV4()
  yield* write(link, { Type: connectionIdType, ConnectionID: connectionId })
  yield* read(link, Ack, ackType, limits)
  onAcknowledged()
  if (isTooLarge) return yield* tooLarge(metadataType, limits)
  const metadata = yield* readMetadata(meta, options)
  const principal = yield* Effect.mapError(options.authenticate(metadata), turnedAway)
  const hello = { metadata, principal, settings, session: undefined, resume: undefined }
  return { hello, welcome: yield* options.welcome(hello, connectionId), ready: Effect.void }
})

/** @internal */
export const dial = Effect.fnUntraced(function*(
  link: HandshakeLink,
  { limits, metadata, settings }: DialOptions,
  random: Randomness
): Effect.fn.Return<Welcomed, SwaggerSocketError> {
  yield* write(link, { Type: metadataType, Meta: metadata ?? null })
  const { connectionid } = yield* read(link, ConnectionId, connectionIdType, limits)
  yield* write(link, { Type: ackType })
  // Go accepts a connection without an id.
  return { connectionId: connectionid || (yield* random.uuidV4()), resumed: false, settings }
})

/**
 * What a node tells another one of its connections, a line of JSON each (PROTOCOL.md, "Node links").
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"

/**
 * - `Began`: the connections there are follow
 * - `Event`: what has happened to a connection; with `ConnectionReceived` who it is
 * - `Groups`: the groups that a connection is in now
 * - `Current`: these were all connections there are
 *
 * @internal
 */
export type Record<M, P> =
  | { readonly _tag: "Began" }
  | { readonly _tag: "Current" }
  | { readonly _tag: "Event"; readonly event: ConnectionEvent<M>; readonly principal?: P }
  | { readonly _tag: "Groups"; readonly connectionId: string; readonly groups: ReadonlyArray<string> }

/** @internal */
export interface Codec<M, P> {
  readonly encode: (record: Record<M, P>) => Effect.Effect<string, Schema.SchemaError>
  readonly decode: (record: unknown) => Effect.Effect<Record<M, P>, Schema.SchemaError>
}

type JsonCodec<T> = Schema.ConstraintCodec<T, unknown, never, never>

/** @internal */
export const codec = <M, P>(event: JsonCodec<ConnectionEvent<M>>, principal: JsonCodec<P>): Codec<M, P> => {
  const schema = Schema.toCodecJson(Schema.Union([
    Schema.TaggedStruct("Began", {}),
    Schema.TaggedStruct("Current", {}),
    Schema.TaggedStruct("Event", { event, principal: Schema.optionalKey(principal) }),
    Schema.TaggedStruct("Groups", { connectionId: Schema.String, groups: Schema.Array(Schema.String) })
  ])) as unknown as JsonCodec<Record<M, P>>
  return {
    encode: Schema.encodeEffect(Schema.fromJsonString(schema)),
    decode: Schema.decodeUnknownEffect(schema)
  }
}

/** A line of metadata that is as long as handshakes may be, with all that is around it. @internal */
export const maxLineBytes = 1024 * 1024

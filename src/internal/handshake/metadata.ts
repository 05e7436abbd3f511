/**
 * The metadata of a client, as a server reads it on either wire.
 */
import * as Effect from "effect/Effect"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { metadataInvalid, refused } from "../link/refusal.ts"
import type { AcceptOptions } from "./model.ts"

/** How deep objects and arrays may be nested: what encodes events, or looks at metadata, may be recursive. A guess. */
const maxDepth = 64

const isWithin = (value: unknown, depth: number): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (depth === 0) return false
  return Object.values(value).every((member) => isWithin(member, depth - 1))
}

const tooDeep = refused("local", "METADATA_INVALID", `objects and arrays more than ${maxDepth} deep`, [])

/** @internal */
export const readMetadata = <M, P>(
  sent: unknown,
  { decodeMetadata }: AcceptOptions<M, P>
): Effect.Effect<M, SwaggerSocketError> =>
  isWithin(sent, maxDepth) ? Effect.mapError(decodeMetadata(sent), metadataInvalid) : Effect.fail(tooDeep)

/**
 * Why a handshake ends without a connection, as an error.
 */
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { HandshakeRefused, type RefusalCode, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { retryableRefusals } from "../frame/errorCode.ts"

/** @internal */
export const refused = (
  initiator: "local" | "remote",
  code: RefusalCode,
  description: string,
  path?: ReadonlyArray<string | number>,
  retry: boolean = retryableRefusals.has(code)
): SwaggerSocketError =>
  new SwaggerSocketError({
    reason: new HandshakeRefused({
      initiator,
      code,
      description,
      retry,
      ...(path === undefined ? undefined : { path: [...path] })
    })
  })

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** The first field at fault, and what is wrong with it; never the value, which may be secret. */
const firstIssue = (
  error: Schema.SchemaError
): { readonly path: ReadonlyArray<string | number>; readonly text: string } => {
  const issue = formatIssue(error.issue).issues[0]
  const path = (issue?.path ?? []).map((segment) => {
    const key = Predicate.isObject(segment) && "key" in segment ? segment.key : segment
    return Predicate.isNumber(key) ? key : String(key)
  })
  return { path, text: issue?.message ?? error.message }
}

/** @internal */
export const invalid = (expected: string) => (error: Schema.SchemaError): SwaggerSocketError => {
  const { path, text } = firstIssue(error)
  return refused("local", "HANDSHAKE_INVALID", `not a valid ${expected}: ${text}`, path)
}

/** @internal */
export const metadataInvalid = (error: Schema.SchemaError): SwaggerSocketError => {
  const { path, text } = firstIssue(error)
  return refused("local", "METADATA_INVALID", text, path)
}

/** What an application said to turn a client away. @internal */
export const turnedAway = (
  { code, reason, retry }: { readonly code: RefusalCode; readonly reason: string; readonly retry?: boolean }
): SwaggerSocketError => refused("local", code, reason, undefined, retry ?? retryableRefusals.has(code))

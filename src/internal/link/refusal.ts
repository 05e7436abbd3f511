/**
 * Errors for handshakes that end without a connection.
 */
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { HandshakeRefused, isSwaggerSocketError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { RefusalCode } from "../../SwaggerSocketError.ts"
import { retryableRefusals } from "../frame/codes.ts"

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

/** The first field that is wrong, and what it should be; never its value, which may be secret. */
const firstIssue = (
  error: Schema.SchemaError
): { readonly path: ReadonlyArray<string | number>; readonly text: string } => {
  const issue = formatIssue(error.issue).issues[0]
  // Of JSON: Effect's formatter gives the keys as they are.
  const path = (issue?.path ?? []) as ReadonlyArray<string | number>
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

/** A client's own metadata can't be sent. `retry`: the next attempt may have others. @internal */
export const metadataUnfit = (retry: boolean) => (error: Schema.SchemaError): SwaggerSocketError => {
  const { path, text } = firstIssue(error)
  return refused("local", "METADATA_INVALID", `this client's metadata: ${text}`, path, retry)
}

/** Why authentication did not end well: the application has turned the client away, or the link has ended. @internal */
export const turnedAway = (
  error:
    | { readonly code: RefusalCode; readonly reason: string; readonly retry?: boolean }
    | SwaggerSocketError
): SwaggerSocketError =>
  isSwaggerSocketError(error)
    ? error
    : refused("local", error.code, error.reason, undefined, error.retry ?? retryableRefusals.has(error.code))

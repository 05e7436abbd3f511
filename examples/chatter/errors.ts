/**
 * Errors as goa puts them on the wire: the error's name in `goa-error`, and a body.
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** An error whose body is a text. */
const asText = <E extends { readonly reason: string }>(
  name: string,
  status: number,
  make: new(fields: { readonly reason: string }) => E
) =>
<S extends Schema.Top & { readonly Type: E }>(self: S) =>
  HttpApiSchema.encodeToWithHeaders<S, Schema.String, { readonly "goa-error": Schema.optionalKey<Schema.String> }>({
    body: Schema.String.pipe(HttpApiSchema.status(status)),
    headers: { "goa-error": Schema.optionalKey(Schema.String) }
  }, {
    decode: ({ body }) => new make({ reason: body }),
    encode: ({ reason }) => ({ body: reason, headers: { "goa-error": name } })
  })(self).annotate({ identifier: name })

export class UnauthorizedError extends Schema.TaggedError<UnauthorizedError>()("Unauthorized", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** Credentials are invalid. */
export const Unauthorized = UnauthorizedError.pipe(asText("unauthorized", 401, UnauthorizedError))

export class TokenExpiredError extends Schema.TaggedError<TokenExpiredError>()("TokenExpired", {}) {
  override get message(): string {
    return expired
  }
}

const expired = "token expired"

/** The credentials were valid when the call began. In the middle of a stream there are no headers to name an error. */
export const TokenExpired = Schema.Literal(expired).pipe(
  Schema.decodeTo(
    Schema.toType(TokenExpiredError),
    SchemaTransformation.transform({
      decode: () => new TokenExpiredError(),
      encode: (): typeof expired => expired
    })
  ),
  HttpApiSchema.status(401)
).annotate({ identifier: "token-expired" })

export class InvalidScopesError extends Schema.TaggedError<InvalidScopesError>()("InvalidScopes", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}

/** The token does not allow this. */
export const InvalidScopes = InvalidScopesError.pipe(asText("invalid-scopes", 403, InvalidScopesError))

/** A request that could not be understood. */
export class MissingField extends Schema.Error<MissingField>("MissingField")({
  name: Schema.tag("missing_field"),
  id: Schema.String,
  message: Schema.String,
  temporary: Schema.Boolean,
  timeout: Schema.Boolean,
  fault: Schema.Boolean
}, { httpApiStatus: 400 }) {}

/** `name` is missing from the header of a request. */
export const missingFromHeader = (name: string): MissingField =>
  new MissingField({
    id: crypto.randomUUID().slice(0, 8),
    message: `"${name}" is missing from header`,
    temporary: false,
    timeout: false,
    fault: false
  })

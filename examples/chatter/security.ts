/**
 * Who may do what: basic authentication for a token, and tokens with scopes for everything else.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import {
  InvalidScopes,
  InvalidScopesError,
  MissingField,
  missingFromHeader,
  Unauthorized,
  UnauthorizedError
} from "./errors.ts"

/** The scopes that an endpoint asks for. */
export class Scopes extends Context.Service<Scopes, ReadonlyArray<string>>()("chatter/Scopes") {}

/** Who is calling. */
export class User extends Context.Service<User, {
  /** When the token stops to be valid, in milliseconds of the clock. */
  readonly expiresAt: number | undefined
}>()("chatter/User") {}

/** Secures the login endpoint. */
export class Login extends HttpApiMiddleware.Service<Login, { provides: never }>()("chatter/Login", {
  error: [Unauthorized, MissingField],
  security: {
    basic: HttpApiSecurity.basic.pipe(HttpApiSecurity.annotate(OpenApi.Description, "Secures the login endpoint."))
  }
}) {}

/** Secures endpoints by requiring a valid JWT. */
export class Jwt extends HttpApiMiddleware.Service<Jwt, { provides: User }>()("chatter/Jwt", {
  error: [Unauthorized, InvalidScopes, MissingField],
  security: {
    jwt: HttpApiSecurity.bearer.pipe(HttpApiSecurity.annotate(
      OpenApi.Description,
      "Secures endpoint by requiring a valid JWT token. Supports scopes \"stream:read\" and \"stream:write\"."
    ))
  }
}) {}

/** The key of the example; a real service has it from its configuration. */
const key = new TextEncoder().encode("secret")

/** A token for whoever may do everything. */
export const issueToken: Effect.Effect<string> = Effect.flatMap(
  Clock.currentTimeMillis,
  (now) =>
    Effect.promise(() =>
      new Jose.SignJWT({ scopes: ["stream:read", "stream:write"] })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .setIssuedAt(new Date(now))
        .setNotBefore(1444478400)
        .sign(key)
    )
)

const Claims = Schema.Struct({ scopes: Schema.Array(Schema.String), exp: Schema.optionalKey(Schema.Number) })

export const LoginLive = Layer.succeed(Login, {
  basic: (handler, { credential }) =>
    Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const isGiven = credential.username !== "" || Redacted.value(credential.password) !== ""
      if (!isGiven && !/^basic [a-z\d+/]+=*$/i.test(headers.authorization ?? "")) {
        return yield* missingFromHeader("Authorization")
      }
      if (credential.username !== "goa" || Redacted.value(credential.password) !== "rocks") {
        return yield* new UnauthorizedError({ reason: "invalid username and password combination" })
      }
      return yield* handler
    })
})

export const JwtLive = Layer.succeed(Jwt, {
  jwt: (handler, { endpoint }) =>
    Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const authorization = headers.authorization ?? ""
      if (authorization === "") return yield* missingFromHeader("token")
      // The scheme may be any word, or left out.
      const token = authorization.slice(authorization.indexOf(" ") + 1)
      const currentDate = new Date(yield* Clock.currentTimeMillis)
      const { payload } = yield* Effect.mapError(
        Effect.tryPromise(() => Jose.jwtVerify(token, key, { algorithms: ["HS256", "HS384", "HS512"], currentDate })),
        () => new UnauthorizedError({ reason: "invalid token" })
      )
      const claims = yield* Effect.mapError(
        Schema.decodeUnknownEffect(Claims)(payload),
        () => new InvalidScopesError({ reason: "invalid scopes in token" })
      )
      const missing = Context.get(endpoint.annotations as Context.Context<Scopes>, Scopes).filter((scope) =>
        !claims.scopes.includes(scope)
      )
      if (missing.length > 0) return yield* new InvalidScopesError({ reason: `missing scopes: ${missing.join(", ")}` })
      return yield* Effect.provideService(handler, User, {
        expiresAt: claims.exp === undefined ? undefined : claims.exp * 1000
      })
    })
})

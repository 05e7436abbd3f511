/**
 * Types shared by the parts of a client; `SwaggerSocketClient` shows some of them to users.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Connection from "../../Connection.ts"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { Link } from "../link/link.ts"

/**
 * - `Connecting`: an attempt is under way; `attempt` counts from 1 and starts anew with each established link. `error` is
 *   how the attempt before it failed
 * - `Connected`
 * - `Waiting`: the next attempt comes after a delay
 * - `Stopped`: no more attempts, because the last failure says that they are of no use; `reconnect` dials again
 *
 * @since 0.1.0
 * @category models
 */
export type Status =
  | { readonly _tag: "Connecting"; readonly attempt: number; readonly error?: SwaggerSocketError }
  | { readonly _tag: "Connected"; readonly connection: Connection.Connection }
  | { readonly _tag: "Waiting"; readonly attempt: number; readonly error: SwaggerSocketError }
  | { readonly _tag: "Stopped"; readonly error: SwaggerSocketError }

/**
 * A value, or an effect that is run anew for each attempt: refresh tokens and look up addresses there. When it fails, by
 * whatever error, by a defect or by interrupting itself, the attempt has failed, and the next one comes after the back-off.
 * A `SwaggerSocketError` is the error of the attempt as it is; others are the `cause` of a `LinkError`.
 *
 * @since 0.1.0
 * @category models
 */
export type PerAttempt<A, R = never> = A | Effect.Effect<A, unknown, R>

/** What one attempt dials with. @internal */
export interface Attempt<R> {
  readonly metadata: unknown
  readonly encoded: unknown
  /** Where it dials, for logs. Empty where the program makes the links. */
  readonly target: string
  readonly link: (wire: "v1" | "v2") => Effect.Effect<Link, SwaggerSocketError, R | Scope.Scope>
}

/**
 * A store for outcomes that survives the process. Its failures are logged.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { PersistenceError } from "effect/persistence/Persistence"
import type * as Schema from "effect/Schema"
import type { Outcome } from "./keptAnswers.ts"

type StoreError = PersistenceError | Schema.SchemaError

/** @internal */
export interface OutcomeStore {
  readonly get: (id: string) => Effect.Effect<Outcome | undefined, StoreError>
  readonly set: (id: string, outcome: Outcome) => Effect.Effect<void, StoreError>
  readonly remove: (id: string) => Effect.Effect<void, StoreError>
}

/** Logs why the store failed. @internal */
export const warns = Effect.tapCause((cause: Cause.Cause<unknown>) =>
  Effect.logWarning("idempotency: the store failed", cause)
)

/** True if the store has not failed. @internal */
export const succeeds = (effect: Effect.Effect<void, StoreError>): Effect.Effect<boolean> =>
  Effect.matchCause(warns(effect), { onFailure: () => false, onSuccess: () => true })

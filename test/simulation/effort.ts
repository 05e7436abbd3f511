/**
 * What effects of the application do that are run for a handshake. Each acquires something first, which has to be released.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Effort } from "./plan.ts"
import { Planned } from "./planned.ts"
import type { Process } from "./process.ts"

/** Makes an effort in a program; fails with `failure`. */
export const makeEffort = <E>(
  { delay, ends }: Effort,
  process: Process,
  failure: () => E
): Effect.Effect<void, E, Scope.Scope> =>
  Effect.gen(function*() {
    // What a program holds that is killed goes with it.
    const acquire = Effect.sync(() => process.acquired++)
    yield* Effect.acquireRelease(acquire, () => Effect.sync(() => process.acquired--))
    if (delay > 0) yield* Effect.sleep(delay)
    if (ends === "hangs") yield* Deferred.await(process.released)
    if (ends === "dies") return yield* Effect.die(new Planned("an effect dies"))
    if (ends === "fails") return yield* Effect.fail(failure())
  })

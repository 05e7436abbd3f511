/**
 * An API for as long as a scope.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { App, Apps } from "../connection/peer.ts"
import type { InProgress } from "./inProgress.ts"

/**
 * A slow reader may seem to read nothing for this long, so an API that closes waits at least as long for it. A guess,
 * the same as for connections that drain.
 */
const minPatience = Duration.seconds(1)

/** Gives requests to an app until the scope closes, which waits for those that are in progress. @internal */
export const addApp = (apps: Apps, app: App, idle: InProgress["idle"]): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    const { closeTimeout, drainTimeout } = apps.limits
    const patience = Duration.max(closeTimeout, minPatience)
    apps.add(app)
    return Scope.addFinalizer(
      scope,
      // Both at once: where the connection closes when the time is up, its callers learn that, which says more than the
      // answer of an interrupted handler.
      Effect.suspend(() =>
        Effect.all([apps.remove(app), Effect.timeoutOption(idle(patience), drainTimeout)], {
          concurrency: "unbounded",
          discard: true
        })
      )
    )
  })

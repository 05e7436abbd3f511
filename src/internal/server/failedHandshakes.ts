/**
 * Reports handshakes that fail: as an event, in a metric and in the log.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { LinkError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as metrics from "../observe/metrics.ts"
import type { RefusalLog } from "../observe/refusalLog.ts"
import type { Registry } from "./registry.ts"

/** @internal */
export const tellFailedHandshake = <M, P>(
  registry: Registry<M, P>,
  log: RefusalLog,
  cause: Cause.Cause<SwaggerSocketError>
): Effect.Effect<void> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  const failure = Cause.findErrorOption(cause)
  const error = Option.getOrElse(failure, () =>
    new SwaggerSocketError({
      reason: new LinkError({ phase: "open", description: "the handshake died", cause: Cause.squash(cause) })
    }))
  metrics.refusals.updateUnsafe(1, registry.context)
  registry.publish({
    _tag: "ConnectionAttemptFailed",
    attempt: 1,
    willRetry: error.reason._tag === "HandshakeRefused" && error.reason.retry,
    error,
    at: registry.clock.currentTimeMillisUnsafe()
  })
  // A defect is not the client's fault, but one of the application's code, such as `authenticate`, or of this package.
  // Any stranger may cause either line, and the next one, as fast as it dials.
  if (Option.isNone(failure)) return log.hasLine() ? Effect.logError("handshake died", cause) : Effect.void
  // A refusal after which the client does not dial again is a warning: nothing else would draw attention to it.
  const isWarning = error.reason._tag === "HandshakeRefused" && error.reason.initiator === "local" &&
    !error.reason.retry
  if (!isWarning) return Effect.logDebug("handshake failed", error.message)
  return log.hasLine() ? Effect.logWarning(`turned a client away: ${error.message}`) : Effect.void
}

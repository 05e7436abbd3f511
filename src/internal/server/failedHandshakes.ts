/**
 * What a server tells of handshakes that fail: an event, a metric and a line in its log.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { LinkError, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as metrics from "../observe/metrics.ts"
import type { Registry } from "./registry.ts"

/** @internal */
export const tellFailedHandshake = <M, P>(
  registry: Registry<M, P>,
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
  // The user's own code may have died: the client is not to blame, and somebody must know.
  if (Option.isNone(failure)) return Effect.logError("handshake died", cause)
  // What stays as it is, because nobody tries again, should not go unnoticed.
  return error.reason._tag === "HandshakeRefused" && error.reason.initiator === "local" && !error.reason.retry
    ? Effect.logWarning(`turned a client away: ${error.message}`)
    : Effect.logDebug("handshake failed", error.message)
}

/**
 * Converts the failure of a stream to a `SwaggerSocketError`.
 */
import { ConnectionLost, StreamReset, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { errorCodeName } from "../frame/codes.ts"
import type { StreamFailure } from "../streams/stream.ts"

/** @internal */
export const toError = (failure: StreamFailure): SwaggerSocketError =>
  new SwaggerSocketError({
    reason: failure.by === "connection"
      ? new ConnectionLost({ description: failure.reason, outcome: failure.outcome, cause: failure.cause })
      : new StreamReset({
        initiator: failure.by,
        code: errorCodeName(failure.code),
        description: failure.reason,
        outcome: failure.outcome
      })
  })

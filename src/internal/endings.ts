/**
 * How connections end that no error of a link tells of.
 */
import { ConnectionClosed, SessionLost, SwaggerSocketError } from "../SwaggerSocketError.ts"

/** @internal */
export const closedLocally = (code: number, reason: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionClosed({ initiator: "local", code, closeReason: reason }) })

/** @internal */
export const sessionLost = (because: SessionLost["because"], cause: SwaggerSocketError | undefined) =>
  new SwaggerSocketError({ reason: new SessionLost({ because, ...(cause === undefined ? undefined : { cause }) }) })

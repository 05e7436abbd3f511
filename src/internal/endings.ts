/**
 * How connections end that no error of a link tells of.
 */
import * as Predicate from "effect/Predicate"
import type { End } from "../Connection.ts"
import { ConnectionClosed, SessionLost, SwaggerSocketError } from "../SwaggerSocketError.ts"

/** @internal */
export const closedLocally = (code: number, reason: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionClosed({ initiator: "local", code, closeReason: reason }) })

/** @internal */
export const sessionLost = (because: SessionLost["because"], cause: SwaggerSocketError | undefined) =>
  new SwaggerSocketError({ reason: new SessionLost({ because, ...(cause === undefined ? undefined : { cause }) }) })

/** What the peer, or the network, has made of a connection. @internal */
export const endOfError = (error: SwaggerSocketError): End => {
  const { reason } = error
  return reason._tag === "ConnectionClosed"
    ? { _tag: "Closed", initiator: reason.initiator, code: reason.code, reason: reason.closeReason }
    : { _tag: "Failed", error }
}

/**
 * V8 keeps alive what is on the stack of an error until the stack is read: an error that somebody keeps would keep its
 * connection.
 *
 * @internal
 */
export const readStacks = (error: unknown): void => {
  if (!(error instanceof Error) || error.stack === undefined) return
  if (Predicate.hasProperty(error, "reason")) readStacks(error.reason)
  readStacks(error.cause)
}

/**
 * How connections end that no error of a link tells of.
 */
import * as Predicate from "effect/Predicate"
import type { End } from "../Connection.ts"
import { ConnectionClosed, ProtocolViolation, SessionLost, SwaggerSocketError } from "../SwaggerSocketError.ts"
import { errorCodeName, type Violation } from "./frame/errorCode.ts"

/** @internal */
export const closedLocally = (code: number, reason: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionClosed({ initiator: "local", code, closeReason: reason }) })

/** @internal */
export const sessionLost = (because: SessionLost["because"], cause: SwaggerSocketError | undefined) =>
  new SwaggerSocketError({ reason: new SessionLost({ because, ...(cause === undefined ? undefined : { cause }) }) })

/** The peer has broken the protocol. @internal */
export const violated = ({ code, reason }: Violation): SwaggerSocketError =>
  new SwaggerSocketError({
    reason: new ProtocolViolation({ initiator: "remote", code: errorCodeName(code), description: reason })
  })

/** What a server says that waits for ready. */
const handshakeFailures: ReadonlySet<string> = new Set(["HANDSHAKE_INVALID", "HANDSHAKE_TIMEOUT"])

/** A server that gives up on the handshake has read no request yet. On wire v1 it decides behind the handshake. @internal */
export const isUnprocessed = (reason: SwaggerSocketError["reason"], wire: "v1" | "v2"): boolean =>
  reason._tag === "HandshakeRefused" && (wire === "v1" || handshakeFailures.has(reason.code))

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

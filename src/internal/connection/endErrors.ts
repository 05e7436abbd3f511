/**
 * Errors for ends of a connection that are no failures of its link: closed locally, session lost, protocol violated.
 */
import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"
import type { CloseReason } from "../../Connection.ts"
import { SessionLost, SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { closeCodeOf, errorCodeName, type Violation } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { closed, linkFailure, protocolViolation } from "../link/linkErrors.ts"

/** @internal */
export const closedLocally = (code: number, reason: string): SwaggerSocketError => closed("local", code, reason)

/** @internal */
export const sessionLost = (because: SessionLost["because"], cause: SwaggerSocketError | undefined) =>
  new SwaggerSocketError({ reason: new SessionLost({ because, ...(cause === undefined ? undefined : { cause }) }) })

/** The peer has broken the protocol. @internal */
export const violated = ({ code, reason }: Violation): SwaggerSocketError =>
  protocolViolation("remote", errorCodeName(code), reason)

/** This end has broken the protocol, in the view of the peer. @internal */
export const accused = ({ code, reason }: Violation): SwaggerSocketError =>
  protocolViolation("local", errorCodeName(code), reason)

/** A link on which this end can't go on. @internal */
export const broken = (description: string): SwaggerSocketError => linkFailure("write", description)

/**
 * Why an application can't close a connection with a code. WebSockets refuse those below 3000 by throwing, when the
 * connection would be half closed already; the others mean something to the wire (PROTOCOL.md, "Close codes").
 *
 * @internal
 */
export const closeCodeFault = (code: number): RangeError | undefined => {
  const isOfWire = code >= 4000 && code < 4200
  return code === CloseCode.NORMAL || (Number.isInteger(code) && code >= 3000 && code <= 4999 && !isOfWire)
    ? undefined
    : new RangeError(`close code ${code} is not 1000, 3000-3999 or 4200-4999`)
}

/** What a server says while it waits for `ready`: it has read no request yet. */
const handshakeFailures: ReadonlySet<string> = new Set(["HANDSHAKE_INVALID", "HANDSHAKE_TIMEOUT"])

/**
 * Whether the peer has read no request when it refuses the connection. On wire v1 it refuses after the handshake; a connection
 * that is replaced may be older.
 *
 * @internal
 */
export const isUnprocessed = (reason: SwaggerSocketError["reason"], wire: "v1" | "v2"): boolean =>
  reason._tag === "HandshakeRefused" &&
  (wire === "v1" ? reason.code !== "IDENTITY_REPLACED" : handshakeFailures.has(reason.code))

/**
 * The error that ends a connection whose fiber has failed. `code` is what the peer is to be told where it has no part in the
 * failure: 1001 where the fiber was interrupted, and INTERNAL_ERROR for a bug.
 *
 * @internal
 */
export const endOfCause = (
  cause: Cause.Cause<SwaggerSocketError>
): { readonly error: SwaggerSocketError; readonly code?: number } => {
  const failure = cause.reasons.find((reason) => reason._tag === "Fail")
  if (failure?._tag === "Fail") return { error: failure.error }
  const interrupted = Cause.hasInterruptsOnly(cause)
  const code = interrupted ? CloseCode.GOING_AWAY : closeCodeOf(ErrorCode.INTERNAL_ERROR)
  return { error: closedLocally(code, interrupted ? "" : Cause.pretty(cause)), code }
}

/** How a connection has ended that this end has not closed. @internal */
export const endOfError = (error: SwaggerSocketError): CloseReason => {
  const { reason } = error
  return reason._tag === "ConnectionClosed"
    ? { _tag: "Closed", initiator: reason.initiator, code: reason.code, reason: reason.closeReason }
    : { _tag: "Failed", error }
}

/**
 * Reads the stacks of an error. V8 keeps all that is on the stack alive until the stack is read, so an error that an
 * application keeps would keep its connection.
 *
 * @internal
 */
export const readStacks = (error: unknown): void => {
  if (!(error instanceof Error) || error.stack === undefined) return
  if (Predicate.hasProperty(error, "reason")) readStacks(error.reason)
  readStacks(error.cause)
}

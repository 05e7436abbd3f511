/**
 * How the WebSocket of a call ends (PROTOCOL-streaming.md, "Ends of a call").
 */
import * as Predicate from "effect/Predicate"
import type * as Socket from "effect/socket/Socket"
import * as LinkCloseCode from "../frame/CloseCode.ts"
import { truncate } from "../frame/encoder.ts"
import { type Link, maxCloseReason } from "../link/link.ts"
import { describe } from "../link/linkErrors.ts"

/** The close code of an error is this number plus the HTTP status of the error. */
const statusBase = 4000

/** Close codes of calls that end without a declared error. @internal */
export const CloseCode = {
  /** The call is complete. */
  NORMAL: LinkCloseCode.NORMAL,
  /** This end shuts down. */
  GOING_AWAY: LinkCloseCode.GOING_AWAY,
  /** The other end sent what this call does not take. */
  POLICY_VIOLATION: 1008,
  /** A defect, or a failure that the endpoint does not declare. */
  INTERNAL_ERROR: 1011,
  /** The client wants no more. */
  CANCELLED: 4499,
  /** 408: the other end is silent, or does not read. */
  TIMEOUT: 4408
} as const

/**
 * The close codes of calls that end without a declared error (PROTOCOL-streaming.md, "Ends of a call"). A declared error closes
 * with 4000 plus its status.
 *
 * @since 0.1.0
 * @category models
 */
export interface CloseCodes {
  /** The handler is done. Default 1000. */
  readonly complete: number
  /** This server stops, or something else interrupted the handler. Default 1001. */
  readonly goingAway: number
  /** A ping was not answered. Default 4408. */
  readonly noPong: number
  /** The client has not read for `sendTimeout`. Default 4408. */
  readonly tooSlow: number
  /** The client sent a message to an endpoint that takes none. Default 1008. */
  readonly unexpectedMessage: number
  /** A defect of the handler. Default 1011. */
  readonly failed: number
}

/** Throws a `RangeError` for a code that no close frame may have (RFC 6455 section 7.4). @internal */
export const assertCloseCode = (code: number, what: string): void => {
  const isOfProtocol = code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006)
  if (Number.isInteger(code) && (isOfProtocol || (code >= 3000 && code <= 4999))) return
  throw new RangeError(`${what} ${code}: 1000-1003, 1007-1014 or 3000-4999`)
}

/**
 * Starts the closing handshake with a code of the application; a reason that is too long for the frame is cut.
 *
 * @internal
 */
export const closeAs = (link: Link, code: number, reason: string): void => {
  assertCloseCode(code, "close code")
  link.close(code, truncate(reason, maxCloseReason))
}

/** The first byte of a binary message that holds an error too long for the close frame. JSON can't start with it. */
const errorMark = 0x1e

const encoder = new TextEncoder()

/**
 * Ends a call with an error: its status in the close code, its JSON in the reason, or in a message where that is too
 * long.
 *
 * @internal
 */
export const closeWithError = (link: Link, status: number, json: string): void => {
  const bytes = encoder.encode(json)
  if (bytes.length > maxCloseReason) {
    const message = new Uint8Array(bytes.length + 1)
    message[0] = errorMark
    message.set(bytes, 1)
    link.send(message)
  }
  link.close(statusBase + status, bytes.length > maxCloseReason ? truncate(json, maxCloseReason) : json)
}

/** The error in a message that holds one; `undefined` for other messages. @internal */
export const errorOf = (message: Uint8Array | string): string | undefined =>
  !Predicate.isString(message) && message[0] === errorMark ? new TextDecoder().decode(message.subarray(1)) : undefined

/** The HTTP status that a close code stands for. @internal */
export const statusOf = (code: number): number | undefined =>
  code >= statusBase + 400 && code < statusBase + 600 ? code - statusBase : undefined

/** How the peer ended the call. @internal */
export const closeOf = (error: Socket.SocketError): { readonly code: number; readonly reason: string } =>
  error.reason._tag === "SocketCloseError"
    ? { code: error.reason.code, reason: error.reason.closeReason ?? "" }
    : { code: 1006, reason: describe(error) }

/** Whether a client has closed in good order; 1005 stands for a close frame without a code. @internal */
export const isComplete = (code: number): boolean => code === CloseCode.NORMAL || code === 1005

/**
 * What the end of a link means: its error, as a `SwaggerSocketError`, and whether the connection outlives it
 * (PROTOCOL.md, "Close codes" and "Losing a link").
 */
import * as Predicate from "effect/Predicate"
import * as Socket from "effect/socket/Socket"
import {
  ConnectionClosed,
  LinkError,
  ProtocolViolation,
  type RefusalCode as RefusalCodeName,
  SwaggerSocketError
} from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { closeCodeOf, errorCodeOfClose, RefusalCode } from "../frame/codes.ts"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { refused } from "./refusal.ts"

/** The text of an error, or of an event that has one. A name with several addresses has an error for each: the first one's. @internal */
export const textOf = (cause: unknown): string | undefined => {
  if (!Predicate.isObject(cause)) return undefined
  if ("message" in cause && Predicate.isString(cause.message) && cause.message !== "") return cause.message
  if ("errors" in cause && Array.isArray(cause.errors)) return textOf(cause.errors[0])
  return "error" in cause ? textOf(cause.error) : undefined
}

/** Error events of WebSockets carry their text in `message` or `error`. @internal */
export const describe = (error: Socket.SocketError): string => {
  const reason = error.reason
  const text = textOf("cause" in reason ? reason.cause : undefined)
  if (text !== undefined) return text
  return error.reason._tag === "SocketCloseError" && error.reason.code === CloseCode.ABNORMAL
    ? "it broke without a goodbye (1006)"
    : error.message
}

type Phase = LinkError["phase"]

/** @internal */
export const linkFailure = (phase: Phase, description: string, cause?: unknown): SwaggerSocketError =>
  new SwaggerSocketError({
    reason: new LinkError({ phase, description, ...(cause === undefined ? undefined : { cause }) })
  })

/** @internal */
export const linkError = (phase: Phase, error: Socket.SocketError): SwaggerSocketError =>
  linkFailure(phase, describe(error), withoutEvent(error))

/** @internal */
export const closed = (initiator: "local" | "remote", code: number, closeReason: string): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new ConnectionClosed({ initiator, code, closeReason }) })

/**
 * The error with the text of its event, instead of the event. From an event all objects of a server can be reached through its
 * WebSocket, and Effect compares errors by structure when it combines causes: that would take minutes.
 */
const withoutEvent = (error: Socket.SocketError): Socket.SocketError => {
  const { reason } = error
  if (!("cause" in reason) || Predicate.isError(reason.cause)) return error
  const event = reason.cause
  const cause = Predicate.hasProperty(event, "error") && Predicate.isError(event.error)
    ? event.error
    : new Error(describe(error))
  if (reason._tag === "SocketOpenError") {
    return new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: reason.kind, cause }) })
  }
  const Reason = reason._tag === "SocketReadError" ? Socket.SocketReadError : Socket.SocketWriteError
  return new Socket.SocketError({ reason: new Reason({ cause }) })
}

/** `initiator` has broken the protocol. @internal */
export const protocolViolation = (
  initiator: "local" | "remote",
  code: ProtocolViolation["code"],
  description: string
): SwaggerSocketError => new SwaggerSocketError({ reason: new ProtocolViolation({ initiator, code, description }) })

const refusalNames = Object.fromEntries(
  Object.entries(RefusalCode).map(([name, code]) => [code, name as RefusalCodeName])
)

/** What the end of a link says about the peer (PROTOCOL.md, "Close codes"). @internal */
export const endOf = (error: Socket.SocketError): SwaggerSocketError => {
  if (error.reason._tag !== "SocketCloseError") return linkError("read", error)
  const { code, closeReason = "" } = error.reason
  const violated = errorCodeOfClose(code)
  if (violated !== undefined && code !== closeCodeOf(ErrorCode.NO_ERROR)) {
    return protocolViolation("local", violated, closeReason)
  }
  const refusal = refusalNames[code]
  if (refusal !== undefined) return refused("remote", refusal, closeReason)
  // 1005 is a close frame without a code. Of the codes below 3000 the others report failures.
  return code === CloseCode.NORMAL || code === CloseCode.GOING_AWAY || code === 1005 || code >= 3000
    ? closed("remote", code, closeReason)
    : linkError("read", error)
}

/**
 * Whether a connection outlives the end of its link (PROTOCOL.md, "Losing a link"): the link broke, a proxy closed it, or it
 * went silent. On a link that has resumed a connection, a handshake that took too long, or gave way to others, is such an end
 * as well.
 *
 * @internal
 */
export const isLoss = ({ reason }: SwaggerSocketError, resumed: boolean): boolean => {
  switch (reason._tag) {
    case "HeartbeatTimeout":
      return true
    case "ProtocolViolation":
      return reason.initiator === "local" && reason.code === "HEARTBEAT_TIMEOUT"
    case "ConnectionClosed":
      return reason.code === CloseCode.RESUMING
    case "HandshakeRefused":
      return resumed && (reason.code === "HANDSHAKE_TIMEOUT" || reason.code === "OVERLOADED")
    case "LinkError": {
      const { cause } = reason
      if (!Socket.isSocketError(cause) || cause.reason._tag !== "SocketCloseError") return true
      const { code } = cause.reason
      return code === CloseCode.ABNORMAL || code > lastVerdict
    }
    default:
      return false
  }
}

/** Close codes up to this one, but for 1006, say that a message was wrong (RFC 6455 section 7.4.1), as it would be again. */
const lastVerdict = 1010

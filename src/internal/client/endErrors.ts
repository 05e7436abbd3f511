/**
 * Errors for ends of connections and links that a client gives a reason of its own.
 */
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import { closedLocally } from "../connection/endErrors.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { closed, linkFailure } from "../link/linkErrors.ts"

/** The server has retired a connection: calls go to the next one. @internal */
export const goneAway = closed("remote", CloseCode.GOING_AWAY, "the server takes no more requests")

/** Somebody has asked the client to reconnect. @internal */
export const reconnecting = linkFailure("read", "reconnecting")

/** @internal */
export const left = closedLocally(CloseCode.GOING_AWAY, "the client's scope has closed")

/**
 * The client dials the next connection without a delay: the server is there, and has only ended the last one.
 *
 * @internal
 */
export const isElsewhere = (error: SwaggerSocketError): boolean =>
  error === goneAway || (error.reason._tag === "SessionLost" && error.reason.because !== "expired")

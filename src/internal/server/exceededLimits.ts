/**
 * Tells of limits of a connection that this end has ended it for, or its link, by the error that it has ended with. Errors have words
 * for people and no name of a limit, which every page would have to load.
 */
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import type { LimitName } from "../quota/limits.ts"
import type { Party } from "../quota/party.ts"

/** What errors of this end say, and the limit that they are about. */
const limits: ReadonlyArray<readonly [words: string, limit: LimitName]> = [
  ["(sendTimeout)", "sendTimeout"],
  ["(messageTimeout)", "messageTimeout"],
  ["bytes wait for this peer", "maxUnsentBytes"],
  ["too many resets", "resetsPerSecond"],
  ["too many control frames", "controlPerSecond"],
  ["too many answers are waiting", "maxQueuedControl"],
  ["too many empty DATA", "emptyDataPerSecond"],
  ["too many GOAWAYs", "goAwaysPerSecond"]
]

/** What this end says; not what the peer has written into its close frame or its GOAWAY. */
const ownWords = ({ reason }: SwaggerSocketError): string => {
  if (reason._tag === "ProtocolViolation") return reason.initiator === "remote" ? reason.description : ""
  if (reason._tag !== "LinkError") return ""
  const { cause } = reason
  return Socket.isSocketError(cause) && cause.reason._tag === "SocketCloseError" ? "" : reason.description
}

/** Tells of the limit, if there is one. @internal */
export const tellLimit = (party: Party, connectionId: string, error: SwaggerSocketError): void => {
  const text = ownWords(error)
  const [, limit] = limits.find(([words]) => text.includes(words)) ?? []
  if (limit !== undefined) party.tellLimit(limit, party.connection(connectionId))
}

/**
 * Whether a request asks for an upgrade: on a connection as PROTOCOL.md says ("Upgrades"), over plain HTTP as its platform could
 * grant it.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { callingOf } from "./relayed.ts"

/**
 * The field alone says little over plain HTTP/1.1: clients that would rather speak HTTP/2, Java's among them, send `upgrade: h2c` with
 * requests of any kind. No server has to take that up (RFC 9113 section 3.1), and a request with a body wants an answer to it.
 *
 * @internal
 */
export const asksForUpgrade = (request: HttpServerRequest): boolean => {
  const { headers } = request
  if (headers.upgrade === undefined) return false
  const calling = callingOf(request)
  if (calling !== undefined) return calling.stream.asksForUpgrade === true
  return headers.upgrade.toLowerCase() !== "h2c" && headers["transfer-encoding"] === undefined &&
    Number(headers["content-length"] ?? 0) === 0
}

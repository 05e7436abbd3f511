/**
 * Logs upgrade requests that a server refuses.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { oneLine } from "../frame/oneLine.ts"
import type { RefusalLog } from "../observe/refusalLog.ts"

/** At most so many characters of what a peer has sent are logged. */
const maxQuoted = 200

const reasons: Readonly<Record<number, string>> = {
  400: "the wire that it asks for first is not in `wires`",
  403: "its origin is not that of this host, and `origins` does not allow it",
  421: "its host is not in `hosts`"
}

/**
 * Not logged as warnings are requests that do not ask for a WebSocket, such as health checks, and a first offer of wire v2 by a
 * client that tries v1 next (`isOffer`). Pages do not try v1, and browsers do not tell them why they were refused, so a request
 * with an origin is logged as a warning.
 *
 * @internal
 */
export const logRefusedUpgrade = (
  request: HttpServerRequest.HttpServerRequest,
  { status }: HttpServerResponse.HttpServerResponse,
  isOffer: boolean,
  log: RefusalLog
): Effect.Effect<void> => {
  const reason = reasons[status]
  if (reason === undefined) return Effect.logDebug(`answered ${status} to a request on the path of the WebSocket`)
  const text = `refused an upgrade with ${status}: ${reason}`
  const fallsBack = status === 400 && isOffer && request.headers.origin === undefined
  if (fallsBack) return annotated(request, Effect.logDebug(text))
  return log.hasLine() ? annotated(request, Effect.logWarning(text)) : Effect.void
}

const annotated = (
  { headers, remoteAddress, url }: HttpServerRequest.HttpServerRequest,
  line: Effect.Effect<void>
): Effect.Effect<void> => {
  const said = {
    path: url.replace(/\?.*$/s, ""),
    host: headers.host,
    origin: headers.origin,
    protocols: headers["sec-websocket-protocol"],
    remoteAddress: Option.getOrUndefined(remoteAddress)
  }
  const annotations = Object.entries(said).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, oneLine(value.slice(0, maxQuoted))]]
  )
  return Effect.annotateLogs(line, {
    module: "SwaggerSocketServer",
    method: "upgrade",
    ...Object.fromEntries(annotations)
  })
}

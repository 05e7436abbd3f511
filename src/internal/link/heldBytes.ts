/**
 * Bytes that a link holds, for servers, which bound what all their links hold together.
 */
import * as Predicate from "effect/Predicate"
import type { Link } from "./link.ts"
import { partials } from "./platformSockets.ts"

/** Of a message that has begun to arrive. @internal */
export const partialIn = (link: Link | undefined): number => {
  if (link?.partialBytes !== undefined) return link.partialBytes
  return link?.webSocket === undefined ? 0 : partials.get(link.webSocket)?.() ?? 0
}

/** That wait to be sent, where a WebSocket tells of them. @internal */
export const waitingIn = (link: Link | undefined): number => {
  const { webSocket } = link ?? {}
  return Predicate.hasProperty(webSocket, "bufferedAmount") ? Number(webSocket.bufferedAmount) : 0
}

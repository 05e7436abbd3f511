/**
 * Dialling a WebSocket, and the errors of an attempt that does not open.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { RefusalCode } from "../frame/codes.ts"
import { isNodeWebSocket, type Link } from "./link.ts"
import { describe, linkError } from "./linkErrors.ts"
import { maxPayloads, ofWireV1 } from "./platformSockets.ts"
import { refused } from "./refusal.ts"
import { fromWebSocket } from "./webSocketLink.ts"

/** Dials; the WebSocket is closed with the scope. @internal */
export const dial: (options: {
  readonly url: string
  /** The subprotocol to speak, if any. */
  readonly protocol: string | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Speaks wire v1, which has no subprotocol. */
  readonly v1?: boolean | undefined
  readonly maxPayload?: number | undefined
  /** Bytes that may wait in the socket. Default 128 KiB. */
  readonly buffer?: number | undefined
  /** How long the upgrade may take. Default 10 seconds. */
  readonly openTimeout?: Duration.Duration | undefined
  /** Sees the WebSocket before it opens. */
  readonly configure?: ((ws: Socket.WebSocketLike) => void) | undefined
}) => Effect.Effect<Link, SwaggerSocketError, Scope.Scope | Socket.WebSocketConstructor> = Effect.fnUntraced(
  function*(options) {
    const { configure, headers, maxPayload, protocol, url, v1 } = options
    const construct = yield* Socket.WebSocketConstructor
    const link = yield* Effect.mapError(
      fromWebSocket(
        () => {
          const protocols = protocol === undefined ? undefined : [protocol]
          const ws = construct(url, headers === undefined ? protocols : { protocols, headers })
          if (v1 === true) ofWireV1.add(ws)
          if (maxPayload !== undefined) maxPayloads.set(ws, maxPayload)
          configure?.(ws)
          return ws
        },
        protocol !== undefined,
        /^(?:wss|https):/i.test(url),
        options
      ),
      (error) => openError(error, protocol)
    )
    const ws = link.webSocket
    // Browsers open a WebSocket also where the server has selected no subprotocol.
    if (protocol !== undefined && Predicate.hasProperty(ws, "protocol") && ws.protocol !== protocol) {
      ws.close(isNodeWebSocket(ws) ? CloseCode.PROTOCOL_ERROR : RefusalCode.HANDSHAKE_INVALID)
      return yield* notSelected(protocol)
    }
    return link
  }
)

const openError = (error: Socket.SocketError, protocol = "none"): SwaggerSocketError => {
  // The text of `ws` when the server has selected no subprotocol, or another one.
  return /^Server sent (no|an invalid) subprotocol/.test(describe(error))
    ? notSelected(protocol)
    : linkError("open", error)
}

const notSelectedText = "the server did not select the subprotocol"

/** The server does not speak this wire, so that dialling again would not help. */
const notSelected = (protocol: string): SwaggerSocketError =>
  refused("local", "HANDSHAKE_INVALID", `${notSelectedText} ${protocol}`)

/** Whether a server that speaks no wire but v1 may have turned away the offer of another. @internal */
export const isUnknownProtocol = ({ reason }: SwaggerSocketError): boolean =>
  (reason._tag === "HandshakeRefused" && reason.initiator === "local" && reason.code === "HANDSHAKE_INVALID" &&
    reason.description.startsWith(notSelectedText)) ||
  (reason._tag === "LinkError" && reason.phase === "open" &&
    /^Unexpected server response: 400$/.test(reason.description))

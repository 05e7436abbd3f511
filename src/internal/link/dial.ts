/**
 * Dialling a WebSocket, and the errors of an attempt that does not open.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { SwaggerSocketError } from "../../SwaggerSocketError.ts"
import * as CloseCode from "../frame/CloseCode.ts"
import { RefusalCode } from "../frame/codes.ts"
import { takenBy } from "./bytesTaken.ts"
import { controlsOf, isNodeWebSocket, type Link, maxBuffered, trySend } from "./link.ts"
import { describe, linkError } from "./linkErrors.ts"
import { PageRoom } from "./pageRoom.ts"
import { maxPayloads, ofWireV1, sockets } from "./platformSockets.ts"
import { refused } from "./refusal.ts"

/** More than the header that a WebSocket library puts before a message. */
const messageOverhead = 32

/** `readyState` of a WebSocket that is neither closed nor about to be. */
const open = 1

/**
 * The reader of a socket, opened without letting other fibers run. Effect makes the WebSocket and listens to it some steps
 * later; an event in between would be lost: the one that says why it can't connect, or a first message.
 *
 * @internal
 */
export const attached = (socket: Socket.Socket): Socket.Socket["reader"] =>
  Effect.provideService(socket.reader, PreventSchedulerYield, true)

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
  function*({ buffer = maxBuffered, configure, headers, maxPayload, openTimeout, protocol, url, v1 }) {
    const construct = yield* Socket.WebSocketConstructor
    let ws!: Socket.WebSocketLike
    const socket = yield* Socket.fromWebSocket(
      Effect.acquireRelease(
        Effect.try({
          try: () => {
            const protocols = protocol === undefined ? undefined : [protocol]
            ws = construct(url, headers === undefined ? protocols : { protocols, headers })
            // Closing a socket that is still connecting is an error of `ws`, which ends the process where nobody listens.
            ws.addEventListener("error", () => {})
            if (v1 === true) ofWireV1.add(ws)
            if (maxPayload !== undefined) maxPayloads.set(ws, maxPayload)
            configure?.(ws)
            return ws
          },
          catch: (cause) => new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })
        }),
        (ws) => Effect.sync(() => ws.close(CloseCode.NORMAL))
      ),
      openTimeout && { openTimeout }
    )
    const { pull } = yield* Effect.mapError(attached(socket), (error) => openError(error, protocol))
    const node = isNodeWebSocket(ws) ? ws : undefined
    if (node !== undefined) node.binaryType = "nodebuffer"
    // Browsers open a WebSocket also where the server has selected no subprotocol.
    if (protocol !== undefined && Predicate.hasProperty(ws, "protocol") && ws.protocol !== protocol) {
      ws.close(node !== undefined ? CloseCode.PROTOCOL_ERROR : RefusalCode.HANDSHAKE_INVALID)
      return yield* notSelected(protocol)
    }
    const tcp = sockets.get(ws)
    const buffered = () => Predicate.hasProperty(ws, "bufferedAmount") ? Number(ws.bufferedAmount) : 0
    const isClosed = () => ws.readyState > open || tcp?.destroyed === true
    const isFull = () => buffered() > buffer || isClosed()
    const page = node !== undefined ? undefined : new PageRoom(isFull, isClosed, protocol !== undefined)
    if (page !== undefined) ws.addEventListener("message", page.look)
    let written = 0
    let resume: (() => void) | undefined = undefined
    const sent = () => {
      const waiting = resume
      resume = undefined
      waiting?.()
    }
    // Pages can't drop a socket. The close code says that the connection goes on.
    const terminate = () => node !== undefined ? node.terminate() : ws.close(CloseCode.RESUMING)
    return {
      pull,
      send(message) {
        written += message.length
        // The callback costs time in `ws`, so it is passed only when the buffer gets full.
        return node !== undefined && buffered() + message.length + messageOverhead > buffer
          ? trySend(ws, message, sent)
          : trySend(ws, message)
      },
      isFull,
      isEmpty: () => buffered() === 0,
      taken: () => tcp === undefined ? written - buffered() : takenBy(tcp),
      onRoom(waiting) {
        if (page === undefined) resume = waiting
        else page.onRoom(waiting)
      },
      asks: page !== undefined && protocol !== undefined,
      // Pages may send 1000 and codes from 3000 on.
      close: (code, reason) => ws.close(node !== undefined || code >= 3000 ? code : CloseCode.NORMAL, reason),
      terminate,
      hangUp() {
        if (tcp === undefined) terminate()
        else tcp.destroySoon()
      },
      controls: controlsOf(node),
      webSocket: ws,
      tcp,
      isSecure: /^(?:wss|https):/i.test(url),
      cork: () => tcp?.cork(),
      uncork: () => tcp?.uncork()
    }
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

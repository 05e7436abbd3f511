/**
 * One live WebSocket, as the connection drives it: messages in by pulling, messages out by calling.
 *
 * Effect's `Socket` reads with back-pressure but its writer does not know how much waits to be sent, so a link adds
 * that from whatever lies below: `bufferedAmount` of a WebSocket, or the TCP socket of an upgraded request.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import {
  ConnectionClosed,
  LinkError,
  ProtocolViolation,
  type RefusalCode as RefusalCodeName,
  SwaggerSocketError
} from "../../SwaggerSocketError.ts"
import { truncate } from "../frame/codec.ts"
import { CloseCode, closeCodeOf, ErrorCode, errorCodeOfClose, RefusalCode } from "../frame/errorCode.ts"
import { takenBy } from "./bytesTaken.ts"
import { PageRoom } from "./pageRoom.ts"
import { maxPayloads, type NodeWebSocket, ofWireV1, sockets, type TcpSocket } from "./platformSockets.ts"
import { refused } from "./refusal.ts"

/** @internal */
export interface Link {
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError>
  /** Hands a message to the socket; answers what went wrong, if anything did. */
  readonly send: (message: Uint8Array<ArrayBuffer> | string) => Socket.SocketError | undefined
  /**
   * More waits to be sent than is good for latency: see `onRoom`. A link that has failed is full for good: what is written to it
   * vanishes at once, and who reads it is told why it ended.
   */
  readonly isFull: () => boolean
  /** Nothing waits to be sent: no message is held any more. */
  readonly isEmpty: () => boolean
  /** A number that grows as the platform takes what waits to be sent: a full link whose number stands still takes nothing. */
  readonly taken: () => number
  /** What is sent in between leaves in one piece, where the platform can do that. */
  readonly cork?: (() => void) | undefined
  readonly uncork?: (() => void) | undefined
  /** Calls back once when a full link has room again. */
  readonly onRoom: (resume: () => void) => void
  /** Nothing but a message of the peer tells for sure that there is room: it has to be asked for one. */
  readonly asks?: boolean
  /** Starts the closing handshake; the pull then fails. */
  readonly close: (code: number, reason: string) => void
  /** Drops the socket without a goodbye, where the platform can. */
  readonly terminate: () => void
  /** As `terminate`, but once what was sent has left. */
  readonly hangUp: () => void
  /** Absent where the platform has none. */
  readonly controls: Controls | undefined
  /** The platform's own objects, where they are known. */
  readonly webSocket?: Socket.WebSocketLike | undefined
  readonly tcp?: TcpSocket | undefined
  /** Whether the socket is one of TLS, as far as this end knows. Absent: it is not. */
  readonly isSecure?: boolean | undefined
}

/** Pings and pongs of the WebSocket itself (RFC 6455 section 5.5). Pings of the peer are answered by the platform. @internal */
export interface Controls {
  readonly ping: (data: Uint8Array) => void
  readonly listen: (onPing: (data: Uint8Array) => void, onPong: (data: Uint8Array) => void) => void
}

/** Bytes that may wait in the socket (PROTOCOL.md, "Batching"): enough to keep it busy, little to queue behind. @internal */
export const maxBuffered = 128 * 1024

/** More than the header that a WebSocket library puts before a message. */
const messageOverhead = 32

/** RFC 6455 section 5.5: a control frame has 125 bytes, two of them the code. @internal */
export const maxCloseReason = 123

/** `readyState` of a WebSocket that is neither closed nor about to be. */
const open = 1

/** @internal */
export const isNodeWebSocket = (ws: Socket.WebSocketLike): ws is NodeWebSocket => Predicate.hasProperty(ws, "terminate")

/** @internal */
export const controlsOf = (ws: NodeWebSocket | undefined): Controls | undefined =>
  ws && {
    ping: (data) => ws.ping(data),
    listen(onPing, onPong) {
      ws.on("ping", onPing)
      ws.on("pong", onPong)
    }
  }

/** Hands a message to a WebSocket; answers what went wrong, if anything did. @internal */
export const trySend = (
  ws: Socket.WebSocketLike,
  message: Uint8Array<ArrayBuffer> | string,
  sent?: () => void
): Socket.SocketError | undefined => {
  try {
    if (sent === undefined) ws.send(message)
    else (ws as NodeWebSocket).send(message, sent)
    return undefined
  } catch (cause) {
    return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
  }
}

/**
 * The reader of a socket. Effect makes the WebSocket, and listens to it some steps later: were other fibers to run in between,
 * the event that says why it can't connect, or its first messages, could be lost.
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
    if (isNodeWebSocket(ws)) ws.binaryType = "nodebuffer"
    // Browsers leave it to the page to notice.
    if (protocol !== undefined && Predicate.hasProperty(ws, "protocol") && ws.protocol !== protocol) {
      ws.close(isNodeWebSocket(ws) ? CloseCode.PROTOCOL_ERROR : RefusalCode.HANDSHAKE_INVALID)
      return yield* notSelected(protocol)
    }
    const tcp = sockets.get(ws)
    const buffered = () => Predicate.hasProperty(ws, "bufferedAmount") ? Number(ws.bufferedAmount) : 0
    const isClosed = () => ws.readyState > open || tcp?.destroyed === true
    const isFull = () => buffered() > buffer || isClosed()
    const page = isNodeWebSocket(ws) ? undefined : new PageRoom(isFull, isClosed, protocol !== undefined)
    if (page !== undefined) ws.addEventListener("message", page.look)
    let written = 0
    let resume: (() => void) | undefined = undefined
    const sent = () => {
      const waiting = resume
      resume = undefined
      waiting?.()
    }
    // A page can't drop its socket; at least it says that nothing is over.
    const terminate = () => isNodeWebSocket(ws) ? ws.terminate() : ws.close(CloseCode.RESUMING)
    return {
      pull,
      send(message) {
        written += message.length
        // The callback costs `ws` some work, so it is passed only where the buffer gets full.
        return isNodeWebSocket(ws) && buffered() + message.length + messageOverhead > buffer
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
      // Pages may only say 1000 and codes of their own.
      close: (code, reason) => ws.close(isNodeWebSocket(ws) || code >= 3000 ? code : CloseCode.NORMAL, reason),
      terminate,
      hangUp() {
        if (tcp === undefined) terminate()
        else tcp.destroySoon()
      },
      controls: isNodeWebSocket(ws) ? controlsOf(ws) : undefined,
      webSocket: ws,
      tcp,
      isSecure: /^(?:wss|https):/i.test(url),
      cork: () => tcp?.cork(),
      uncork: () => tcp?.uncork()
    }
  }
)

const openError = (error: Socket.SocketError, protocol = "none"): SwaggerSocketError => {
  // What `ws` says when the server selected none, or another.
  return /^Server sent (no|an invalid) subprotocol/.test(describe(error))
    ? notSelected(protocol)
    : linkError("open", error)
}

const notSelectedText = "the server did not select the subprotocol"

/** Dialling again would not help: the server does not speak this wire. */
const notSelected = (protocol: string): SwaggerSocketError =>
  refused("local", "HANDSHAKE_INVALID", `${notSelectedText} ${protocol}`)

/** Of an error, or of an event that has one. Where a name has several addresses, each of them has failed: the first says how. */
const textOf = (cause: unknown): string | undefined => {
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

/** Whether a server that speaks no wire but v1 may have turned away the offer of another. @internal */
export const isUnknownProtocol = ({ reason }: SwaggerSocketError): boolean =>
  (reason._tag === "HandshakeRefused" && reason.initiator === "local" && reason.code === "HANDSHAKE_INVALID" &&
    reason.description.startsWith(notSelectedText)) ||
  (reason._tag === "LinkError" && reason.phase === "open" &&
    /^Unexpected server response: 400$/.test(reason.description))

/** @internal */
export const linkError = (phase: "open" | "read" | "write", error: Socket.SocketError): SwaggerSocketError =>
  new SwaggerSocketError({ reason: new LinkError({ phase, description: describe(error), cause: withoutEvent(error) }) })

/**
 * An event of a WebSocket leads to the WebSocket and to all that its server knows. Effect compares errors by their structure
 * when it combines causes, which would take minutes then: so errors keep the error of an event, or its text.
 */
const withoutEvent = (error: Socket.SocketError): Socket.SocketError => {
  const { reason } = error
  if (!("cause" in reason) || Predicate.isError(reason.cause)) return error
  const event = reason.cause
  const cause = Predicate.hasProperty(event, "error") && Predicate.isError(event.error)
    ? event.error
    : new Error(describe(error))
  switch (reason._tag) {
    case "SocketOpenError":
      return new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: reason.kind, cause }) })
    case "SocketReadError":
      return new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })
    case "SocketWriteError":
      return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
    default:
      return error
  }
}

const refusalNames = Object.fromEntries(
  Object.entries(RefusalCode).map(([name, code]) => [code, name as RefusalCodeName])
)

/** What the end of a link says about the peer (PROTOCOL.md, "Close codes"). @internal */
export const endOf = (error: Socket.SocketError): SwaggerSocketError => {
  if (error.reason._tag !== "SocketCloseError") return linkError("read", error)
  const { code, closeReason = "" } = error.reason
  const violated = errorCodeOfClose(code)
  if (violated !== undefined && code !== closeCodeOf(ErrorCode.NO_ERROR)) {
    return new SwaggerSocketError({
      reason: new ProtocolViolation({ initiator: "local", code: violated, description: closeReason })
    })
  }
  const refusal = refusalNames[code]
  if (refusal !== undefined) return refused("remote", refusal, closeReason)
  // 1005: a close frame without a code. Below it only 1000 and 1001 are good ends.
  return code === CloseCode.NORMAL || code === CloseCode.GOING_AWAY || code === 1005 || code >= 3000
    ? new SwaggerSocketError({ reason: new ConnectionClosed({ initiator: "remote", code, closeReason }) })
    : linkError("read", error)
}

/**
 * Whether the end of a link ends the link alone (PROTOCOL.md, "Losing a link"): it broke, or was closed by what stands
 * between the peers, or went silent. On a link that was to resume a connection so does a handshake that took too long.
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
      return resumed && reason.code === "HANDSHAKE_TIMEOUT"
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

/** Close codes up to this one, 1006 apart, find fault with what was sent (RFC 6455 section 7.4.1): it would again. */
const lastVerdict = 1010

/** The close code tells the other end what the `refuse` message said, or what came too late for one. @internal */
export const closeRefused = (link: Link, error: SwaggerSocketError): void => {
  const reason = error.reason
  if (reason._tag === "HandshakeRefused" && reason.initiator === "local") {
    link.close(RefusalCode[reason.code], truncate(reason.description, maxCloseReason))
  }
}

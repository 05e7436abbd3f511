/**
 * A link over an object that has what WebSockets of browsers have.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as CloseCode from "../frame/CloseCode.ts"
import { isNodeWebSocket, type Link, maxBuffered, trySend } from "./link.ts"
import { PageRoom } from "./pageRoom.ts"
import { sockets } from "./platformSockets.ts"

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

/**
 * Makes a WebSocket, listens to it, and waits until it is open; it is closed with the scope. `isAnswered`: the peer answers pings
 * of wire v2, whose pongs tell a page that there is room.
 *
 * @internal
 */
export const fromWebSocket: (
  make: () => Socket.WebSocketLike,
  isAnswered: boolean,
  isSecure: boolean,
  options: {
    /** Bytes that may wait in the socket. Default 128 KiB. */
    readonly buffer?: number | undefined
    /** How long the WebSocket may take to open. Default 10 seconds. */
    readonly openTimeout?: Duration.Duration | undefined
  }
) => Effect.Effect<Link & { readonly webSocket: Socket.WebSocketLike }, Socket.SocketError, Scope.Scope> = Effect
  .fnUntraced(
    function*(make, isAnswered, isSecure, { buffer = maxBuffered, openTimeout }) {
      let ws!: Socket.WebSocketLike
      const socket = yield* Socket.fromWebSocket(
        Effect.acquireRelease(
          Effect.try({
            try: () => {
              ws = make()
              // Closing a socket that is still connecting is an error of `ws`, which ends the process where nobody listens.
              ws.addEventListener("error", () => {})
              return ws
            },
            catch: (cause) => new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })
          }),
          (ws) => Effect.sync(() => ws.close(CloseCode.NORMAL))
        ),
        openTimeout && { openTimeout }
      )
      const { pull } = yield* attached(socket)
      const node = isNodeWebSocket(ws) ? ws : undefined
      if (node !== undefined) node.binaryType = "nodebuffer"
      const below = sockets.get(ws)
      const tcp = below?.tcp
      const buffered = () => Predicate.hasProperty(ws, "bufferedAmount") ? Number(ws.bufferedAmount) : 0
      const isClosed = () => ws.readyState > open || tcp?.destroyed === true
      const isFull = () => buffered() > buffer || isClosed()
      const page = node !== undefined ? undefined : new PageRoom(isFull, isClosed, isAnswered)
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
        taken: () => below === undefined ? written - buffered() : below.takenBy(below.tcp),
        onRoom(waiting) {
          if (page === undefined) resume = waiting
          else page.onRoom(waiting)
        },
        asks: page !== undefined && isAnswered,
        // Pages may send 1000 and codes from 3000 on.
        close: (code, reason) => ws.close(node !== undefined || code >= 3000 ? code : CloseCode.NORMAL, reason),
        terminate,
        hangUp() {
          if (tcp === undefined) terminate()
          else tcp.destroySoon()
        },
        webSocket: ws,
        tcp,
        isSecure,
        cork: () => tcp?.cork(),
        uncork: () => tcp?.uncork()
      }
    }
  )

/**
 * The WebSocket of `ws`, as links on Node need it.
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as WS from "ws"
import { takenBy } from "../internal/link/bytesTaken.ts"
import {
  heldBack,
  maxPayloads,
  type NodeWebSocket,
  ofWireV1,
  sockets,
  type TcpSocket,
  upgraded
} from "../internal/link/platformSockets.ts"
import { inTurn } from "../internal/scheduling/turn.ts"
import type * as Limits from "../Limits.ts"
import { FrameWriter, type Sent } from "./frameWriter.ts"
import { partialMessageOptions } from "./partialMessages.ts"
import { limitReceiver } from "./timedReceiver.ts"

/** How many messages of the handshake of wire v1 a server receives, and a client. */
const handshakeMessages = { server: 2, client: 1 }

/**
 * A handshake message may be this many bytes over the limit and is still read, so that the peer is told why it is
 * refused. `ws` closes the link of a larger one.
 */
const refusedInWords = 65_536

/** The options that `ws` passes to its own `setSocket`, which its types do not declare. */
interface SocketOptions {
  readonly maxPayload: number
  readonly skipUTF8Validation: boolean
}

/** The receiver of `ws`: it has no public way to change the size limit of an open socket. */
interface ReceiverState {
  _maxPayload: number
}

/** Absent for a version of `ws` that does not tell which end it is, and where it compresses messages. */
const writerOf = (ws: WS.WebSocket, socket: TcpSocket): FrameWriter | undefined => {
  const isServer: unknown = Reflect.get(ws, "_isServer")
  return Predicate.isBoolean(isServer) && ws.extensions === "" ? new FrameWriter(socket, !isServer) : undefined
}

/**
 * The WebSocket of `ws` with size limits that change after the handshake, and with what Go's programs need on wire v1.
 *
 * @internal
 */
export const webSocketOf = (
  { maxHandshakeSize, messageTimeout, v1MaxMessageSize }: Limits.Limits
): typeof WS.WebSocket => {
  const timeout = Duration.toMillis(messageTimeout)
  class WireWebSocket extends WS.WebSocket {
    #writer: FrameWriter | undefined

    setSocket(socket: TcpSocket, head: Buffer, options: SocketOptions): void {
      this.#writer = writerOf(this, socket)
      upgraded.set(socket, this as unknown as NodeWebSocket)
      sockets.set(this, { tcp: socket, takenBy })
      const setSocket = Reflect.get(WS.WebSocket.prototype, "setSocket") as WireWebSocket["setSocket"]
      if (!ofWireV1.has(this) && !ofWireV1.has(socket)) {
        const given = maxPayloads.get(this) ?? maxPayloads.get(socket)
        // The first message belongs to the handshake and may be longer than the others.
        const maxPayload = given ?? Math.max(options.maxPayload, maxHandshakeSize + refusedInWords)
        setSocket.call(this, socket, head, { ...options, ...partialMessageOptions(maxPayload), maxPayload })
        if (given === undefined) this.once("message", () => this.limitPayload(options.maxPayload))
        return limitReceiver(this, timeout)
      }
      // Go sends any bytes as text, whether or not they are UTF-8.
      const maxPayload = maxHandshakeSize + refusedInWords
      setSocket.call(this, socket, head, {
        ...options,
        ...partialMessageOptions(v1MaxMessageSize),
        maxPayload,
        skipUTF8Validation: true
      })
      limitReceiver(this, timeout)
      const isServer = ofWireV1.has(socket)
      let left = isServer ? handshakeMessages.server : handshakeMessages.client
      const emit = this.emit.bind(this) as (event: string, ...args: ReadonlyArray<unknown>) => boolean
      this.emit = (event: string, ...args: Array<unknown>) => {
        if (event !== "message") return emit(event, ...args)
        if (--left === 0) this.#endHandshake(isServer)
        return emit(event, args[0], true)
      }
      // B13: a Go caller with a heartbeat crashes on other close codes, such as those that `ws` sends for invalid frames.
      const close = this.close.bind(this)
      this.close = (code = 1000, reason) => {
        if (code <= 1001) close(1001, reason)
        else this.terminate()
      }
    }

    /**
     * `ws` calls this once, when the link has closed. Handling that takes 0.2 to 0.4 ms for a connection (measured),
     * and all links of a process that is killed close in one turn: so each waits for its turn.
     */
    emitClose(): void {
      const emitClose = Reflect.get(WS.WebSocket.prototype, "emitClose") as WireWebSocket["emitClose"]
      inTurn(() => emitClose.call(this))
    }

    /** Sends a message, without what `ws` does for those that it compresses. */
    write(message: Uint8Array | string, sent?: Sent): void {
      if (this.#writer === undefined || this.readyState !== this.OPEN) this.send(message, sent as () => void)
      else this.#writer.write(message, sent)
    }

    /** Changes the size limit of messages. */
    limitPayload(bytes: number): void {
      const receiver = Reflect.get(this, "_receiver") as ReceiverState
      receiver._maxPayload = bytes
    }

    /**
     * The handshake is over: the messages that follow may have the size of wire v1's. A server pauses until it has
     * accepted the client.
     */
    #endHandshake(isServer: boolean): void {
      this.limitPayload(v1MaxMessageSize)
      if (!isServer) return
      this.pause()
      heldBack.set(this, () => this.resume())
    }
  }
  return WireWebSocket
}

/** Options that both ends of a `ws` WebSocket take. @internal */
export const webSocketOptions = (limits: Limits.Limits) => ({
  // `ws` refuses a longer message while it arrives. Handshake messages may be longer than others.
  maxPayload: Math.max(limits.maxMessageSize, limits.maxHandshakeSize),
  perMessageDeflate: false,
  closeTimeout: Duration.toMillis(limits.closeTimeout)
})

/**
 * A WebSocket that a runtime such as Bun, Deno or Workers has accepted, in the shape that links are made of. Such WebSockets can't be
 * paused, so messages that are not read yet are kept here, and have a bound.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as CloseCode from "../frame/CloseCode.ts"
import { RefusalCode } from "../frame/codes.ts"
import type { Link } from "./link.ts"
import { partials } from "./platformSockets.ts"
import { fromWebSocket } from "./webSocketLink.ts"

/** What a runtime can do with a WebSocket. @internal */
export interface RuntimeSocket {
  /** Throws where it can't. */
  readonly send: (message: Uint8Array<ArrayBuffer> | string) => void
  readonly close: (code: number, reason?: string) => void
  /** Drops the socket without a close frame. Absent: it is closed with a code that says that the connection goes on. */
  readonly terminate?: (() => void) | undefined
  /** Bytes that wait to be sent; `undefined` where the runtime does not tell. */
  readonly bufferedAmount: () => number | undefined
  /** Whether `close` takes any code. Else the codes of pages: 1000, and those from 3000 on. */
  readonly takesAnyCode?: boolean | undefined
  /** Whether it calls `drained`. Else the peer is pinged, and its pong tells that there is room. */
  readonly tellsRoom?: boolean | undefined
}

/** What a client may make this end keep of what it sends, in bytes. @internal */
export interface Unread {
  /** All together, before it has been authenticated. */
  readonly unauthenticated: number
  /** Of what was not read yet, once it has. */
  readonly authenticated: number
}

type Listener = (event: Socket.WebSocketEvent) => void

type EventType = "open" | "message" | "close" | "error"

const [connecting, open, closing, closed] = [0, 1, 2, 3]

/** What a message counts as besides its length. */
const messageCost = 64

const notReadable = "a message that is neither text nor an ArrayBuffer"

/** @internal */
export class RuntimeWebSocket implements Socket.WebSocketLike {
  #readyState = connecting
  #socket: RuntimeSocket | undefined = undefined
  readonly #unread: Unread
  readonly #listeners = new Map<EventType, Set<Listener>>()
  /** Messages may come before anybody listens. */
  #isPaused = true
  #messages: Array<Uint8Array | string> = []
  #held = 0
  #received = 0
  #hasSent = false
  #onRoom: (() => void) | undefined = undefined

  constructor(unread: Unread) {
    this.#unread = unread
    partials.set(this, () => this.#held)
  }

  get readyState(): number {
    return this.#readyState
  }

  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount() ?? 0
  }

  // --- what the runtime tells ---------------------------------------------------------------------------------------

  opened(socket: RuntimeSocket): void {
    if (this.#readyState !== connecting) return socket.close(CloseCode.NORMAL)
    this.#socket = socket
    this.#readyState = open
    this.#emit("open", {})
  }

  received(data: unknown): void {
    if (this.#readyState === closed) return
    const message = data instanceof ArrayBuffer ? new Uint8Array(data) : data
    // A `Blob`, say, whose bytes come later than the messages behind it, and don't count.
    if (typeof message !== "string" && !(message instanceof Uint8Array)) {
      this.close(CloseCode.PROTOCOL_ERROR, notReadable)
      return this.failed(new Error(notReadable))
    }
    this.#received += message.length + messageCost
    const { authenticated, unauthenticated } = this.#unread
    // Nothing is sent to a client before it has been authenticated, but a refusal.
    if (!this.#hasSent && this.#received > unauthenticated) {
      const text = `more than ${unauthenticated} bytes`
      this.close(RefusalCode.HANDSHAKE_INVALID, text)
      return this.failed(new Error(text))
    }
    this.#give(message)
    if (this.#held <= authenticated) return
    this.drop()
    this.failed(new Error("the peer has sent more than this end has read"))
  }

  closed(code: number, reason: string): void {
    // Deno says 0 where there was no close frame.
    this.#finish("close", { code: code === 0 ? CloseCode.ABNORMAL : code, reason })
  }

  failed(cause: unknown): void {
    const event = { type: "error", error: cause }
    this.#finish("error", event)
  }

  /** What waited to be sent has left. */
  readonly drained = (): void => {
    const resume = this.#onRoom
    this.#onRoom = undefined
    resume?.()
  }

  // --- what a link asks ---------------------------------------------------------------------------------------------

  send(message: Uint8Array<ArrayBuffer> | string): void {
    if (this.#readyState !== open) throw new Error("the WebSocket is not open")
    this.#hasSent = true
    this.#socket!.send(message)
  }

  close(code: number = CloseCode.NORMAL, reason?: string): void {
    if (this.#readyState >= closing) return
    const socket = this.#socket
    this.#readyState = socket === undefined ? closed : closing
    socket?.close(code >= 3000 || socket.takesAnyCode === true ? code : CloseCode.NORMAL, reason)
  }

  drop(): void {
    const terminate = this.#socket?.terminate
    if (terminate === undefined) return this.close(CloseCode.RESUMING)
    this.closed(CloseCode.ABNORMAL, "")
    terminate()
  }

  get tellsRoom(): boolean {
    return this.#socket?.tellsRoom === true
  }

  onRoom(resume: () => void): void {
    this.#onRoom = resume
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    const messages = this.#messages
    this.#messages = []
    this.#held = 0
    for (const message of messages) this.#give(message)
  }

  // --- events -------------------------------------------------------------------------------------------------------

  addEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type as EventType) ?? new Set()
    this.#listeners.set(type as EventType, listeners.add(listener))
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type as EventType)?.delete(listener)
  }

  /** Gives a message to the listeners, or keeps it until they read again. */
  #give(message: Uint8Array | string): void {
    if (!this.#isPaused) return this.#emit("message", { data: message })
    this.#messages.push(message)
    this.#held += message.length + messageCost
  }

  #emit(type: EventType, event: Socket.WebSocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event)
  }

  /** The end comes behind the messages before it, and is told at once: somebody may wait for it who reads nothing. */
  #finish(type: "close" | "error", event: Socket.WebSocketEvent): void {
    if (this.#readyState === closed) return
    const messages = this.#messages
    this.#messages = []
    this.#held = 0
    for (const message of messages) this.#emit("message", { data: message })
    this.#readyState = closed
    this.#emit(type, event)
    this.#listeners.clear()
    this.drained()
  }
}

/** A link over it, which waits until it is open, and closes it with the scope. @internal */
export const fromRuntime = (
  ws: RuntimeWebSocket,
  isSecure: boolean
): Effect.Effect<Link, Socket.SocketError, Scope.Scope> =>
  Effect.map(fromWebSocket(() => ws, true, isSecure, {}), (link): Link => ({
    ...link,
    close: (code, reason) => ws.close(code, reason),
    terminate: () => ws.drop(),
    ...ws.tellsRoom ? { asks: false, onRoom: (resume) => ws.onRoom(resume) } : undefined
  }))

/**
 * What programs written for WebSockets get: an object like the platform's `WebSocket`, over a stream of a connection.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Socket from "effect/socket/Socket"
import { Gate } from "../scheduling/gate.ts"
import type { Connected } from "./clientWebSocket.ts"
import { isCloseCode } from "./webSocketFrames.ts"
import type { WebSocketStream } from "./webSocketStream.ts"

/** How long the peer may take to answer a close frame. As `ws`. */
const closeTimeout = "30 seconds"

type State = 0 | 1 | 2 | 3
const connecting: State = 0
const open: State = 1
const closing: State = 2
const closed: State = 3

/** The bytes alone, as receivers of an `ArrayBuffer` expect. */
const bufferOf = (bytes: Uint8Array): ArrayBuffer =>
  (bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes)).buffer as ArrayBuffer

/** Opens a WebSocket. What waits for the peer goes into `restore`, and can be interrupted. @internal */
export type Connect = (
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) => Effect.Effect<Connected, Socket.SocketError>

/**
 * As the WebSockets Standard describes it, but that messages are text or an `ArrayBuffer`, never a `Blob`. `pause` and `resume` are
 * those of `ws`: what arrives while it is paused waits at the peer.
 *
 * @internal
 */
export class ConnectedWebSocket extends EventTarget implements Socket.WebSocketLike {
  readonly url: string
  readonly binaryType = "arraybuffer"
  readonly extensions = ""
  protocol = ""
  readyState: State = connecting
  isPaused = false
  readonly #gate = new Gate()
  readonly #goesOn = this.#gate.until(() => !this.isPaused)
  readonly #fiber: Fiber.Fiber<void>
  #webSocket: WebSocketStream | undefined

  constructor(url: string, connect: Connect, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    super()
    this.url = url
    this.#fiber = fork(this.#run(connect))
  }

  #run(connect: Connect): Effect.Effect<void> {
    const used = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(connect(restore), ({ protocol, webSocket }) => {
        this.protocol = protocol
        this.#webSocket = webSocket
        if (this.readyState === connecting) {
          this.readyState = open
          this.#dispatch("open", {})
        }
        return Effect.onExit(restore(this.#use(webSocket)), (exit) => Effect.sync(() => webSocket.close(exit)))
      })
    )
    // Whoever makes a WebSocket adds its listeners next.
    return Effect.andThen(Effect.yieldNow, used).pipe(
      Effect.catch((error) => Effect.sync(() => this.#dispatch("error", { error, message: error.message }))),
      Effect.onExit(() => Effect.sync(() => this.#end(1006, "")))
    )
  }

  #use(webSocket: WebSocketStream): Effect.Effect<void> {
    const isClosing = this.#gate.until(() => this.readyState === closing)
    // A peer that has given no credit would else have the stream for as long as the connection lives.
    const gaveUp = Effect.map(Effect.sleep(closeTimeout), () => {
      this.#end(1006, "")
      webSocket.abort()
    })
    return Effect.raceFirst(this.#read(webSocket), Effect.andThen(isClosing, gaveUp))
  }

  #read(webSocket: WebSocketStream): Effect.Effect<void> {
    return Effect.matchEffect(Effect.andThen(this.#goesOn, webSocket.pull), {
      onFailure: ({ reason }) =>
        Effect.sync(() => {
          if (reason._tag === "SocketCloseError") this.#end(reason.code, reason.closeReason ?? "")
        }),
      onSuccess: (messages) => this.#deliver(webSocket, messages, 0)
    })
  }

  /** Delivers messages from one of them on. A listener may pause. */
  #deliver(
    webSocket: WebSocketStream,
    messages: ReadonlyArray<Uint8Array | string>,
    from: number
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (let at = from; at < messages.length; at++) {
        if (this.isPaused) return Effect.andThen(this.#goesOn, this.#deliver(webSocket, messages, at))
        const message = messages[at]!
        this.#dispatch("message", { data: typeof message === "string" ? message : bufferOf(message) })
      }
      return this.#read(webSocket)
    })
  }

  #dispatch(type: string, members: object): void {
    this.dispatchEvent(Object.assign(new Event(type), members))
  }

  #end(code: number, reason: string): void {
    if (this.readyState === closed) return
    this.readyState = closed
    this.#dispatch("close", { code, reason, wasClean: code !== 1006 })
  }

  get bufferedAmount(): number {
    return this.#webSocket?.bufferedAmount ?? 0
  }

  /** Bytes are sent as they are then: they must not be changed. */
  send(data: string | ArrayBuffer | ArrayBufferView): void {
    if (this.readyState === connecting) throw new DOMException("the WebSocket is not open yet", "InvalidStateError")
    if (this.readyState !== open) return
    this.#webSocket!.send(
      typeof data === "string"
        ? data
        : ArrayBuffer.isView(data)
        ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
        : new Uint8Array(data)
    )
  }

  close(code = 1005, reason = ""): void {
    if (code !== 1005 && !isCloseCode(code)) {
      throw new DOMException(`${code} is no code to close a WebSocket with`, "InvalidAccessError")
    }
    if (this.readyState === connecting) {
      this.readyState = closing
      this.#fiber.interruptUnsafe()
    }
    if (this.readyState !== open) return
    this.readyState = closing
    this.#webSocket!.closeWith(code, reason)
    this.#gate.notify()
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.#gate.notify()
  }
}

/**
 * A link over a `MessagePort` (PROTOCOL.md, "Message ports").
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as CloseCode from "../frame/CloseCode.ts"
import { Gate } from "../scheduling/gate.ts"
import { isCloseCode } from "./lengthPrefix.ts"
import { type Link, maxBuffered, maxCloseReason } from "./link.ts"

/**
 * What a link needs of a `MessagePort`, or of what is like one: a `Worker`, or the global scope of one.
 *
 * @since 0.1.0
 * @category models
 */
export interface MessagePortLike {
  /** Sends a value to the other end. */
  postMessage(message: unknown, transfer: Array<ArrayBuffer>): void
  /** Listens to the other end. `close` comes where the platform tells that it is gone. */
  addEventListener(
    type: "message" | "messageerror" | "close",
    listener: (event: { readonly data?: unknown }) => void
  ): void
  /** Listens no more. */
  removeEventListener(
    type: "message" | "messageerror" | "close",
    listener: (event: { readonly data?: unknown }) => void
  ): void
  /** Begins to give messages. */
  start?(): void
  /** Lets go of the port. */
  close?(): void
}

type Message = Uint8Array | string

/** What a message counts as besides its length. */
const messageCost = 64

/** The peer is told after so much at the latest that it was read. */
const toldAfter = 32 * 1024

/** What may be unread besides a message: more than what a full sender may still send. */
const maxUnread = 1024 * 1024

const closeError = (code: number, closeReason: string) =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })

const isClosed = new Socket.SocketError({
  reason: new Socket.SocketWriteError({ cause: new Error("the link is closed") })
})

class MessagePortLink implements Link {
  readonly pull: Link["pull"]
  readonly #port: MessagePortLike
  /** That a message of the peer may have. */
  readonly #maxSize: number
  readonly #gate = new Gate()
  #messages: Array<Message> = []
  #unread = 0
  /** What was read since the peer was last told. */
  #untold = 0
  /** What the peer has not read of what this end has sent, as far as it has told. */
  #outstanding = 0
  #taken = 0
  #end: Socket.SocketError | undefined = undefined
  #hasClosed = false
  #onRoom: (() => void) | undefined = undefined

  constructor(port: MessagePortLike, maxSize: number) {
    this.#port = port
    this.#maxSize = maxSize
    this.pull = Effect.andThen(
      this.#gate.until(() => this.#messages.length > 0 || this.#end !== undefined),
      Effect.suspend(() => this.#messages.length > 0 ? Effect.succeed(this.#take()) : Effect.fail(this.#end!))
    )
    port.addEventListener("message", this.#onMessage)
    port.addEventListener("messageerror", this.#onError)
    port.addEventListener("close", this.#onClose)
    port.start?.()
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  #take(): NonEmptyReadonlyArray<Message> {
    const messages = this.#messages
    this.#messages = []
    this.#untold += this.#unread
    this.#unread = 0
    if (this.#untold >= toldAfter && this.#end === undefined) {
      this.#post(this.#untold)
      this.#untold = 0
    }
    return messages as unknown as NonEmptyReadonlyArray<Message>
  }

  readonly #onMessage = ({ data }: { readonly data?: unknown }): void => {
    if (Predicate.isString(data)) this.#receive(data)
    else if (data instanceof ArrayBuffer) this.#receive(new Uint8Array(data))
    else if (Predicate.isNumber(data)) this.#credit(data)
    else if (isClose(data)) this.#closed(data)
    else this.#fail(CloseCode.PROTOCOL_ERROR, "a value that is no message")
  }

  readonly #onError = (): void => this.#fail(CloseCode.PROTOCOL_ERROR, "a value that can't be read")

  readonly #onClose = (): void => this.#finish(closeError(CloseCode.ABNORMAL, ""))

  #receive(message: Message): void {
    if (message.length > this.#maxSize) {
      return this.#fail(CloseCode.TOO_LONG, `a message of ${message.length}`)
    }
    this.#unread += message.length + messageCost
    if (this.#unread > maxUnread + this.#maxSize) {
      return this.#fail(CloseCode.EXCESSIVE, "more messages than this end has read")
    }
    this.#messages.push(message)
    this.#gate.notify()
  }

  #credit(read: number): void {
    if (!Number.isInteger(read) || read <= 0 || read > this.#outstanding) {
      return this.#fail(CloseCode.PROTOCOL_ERROR, "credit for what was not sent")
    }
    this.#outstanding -= read
    this.#taken += read
    const resume = this.#onRoom
    if (resume === undefined || this.isFull()) return
    this.#onRoom = undefined
    resume()
  }

  /** A close is answered by one of the same code; that of a lost link is not. */
  #closed([code, reason]: readonly [number, string]): void {
    if (code !== CloseCode.ABNORMAL) this.close(code, "")
    this.#finish(closeError(code, reason))
  }

  #fail(code: number, reason: string): void {
    this.close(code, reason)
    this.#finish(closeError(code, reason))
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  send(message: Uint8Array<ArrayBuffer> | string): Socket.SocketError | undefined {
    if (this.#hasClosed || this.#end !== undefined) return isClosed
    this.#outstanding += message.length + messageCost
    // A copy: a port takes the whole buffer of what it is given, which may have other messages as well.
    return this.#post(Predicate.isString(message) ? message : message.slice().buffer)
  }

  #post(value: unknown): Socket.SocketError | undefined {
    try {
      this.#port.postMessage(value, value instanceof ArrayBuffer ? [value] : [])
      return undefined
    } catch (cause) {
      return new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })
    }
  }

  isFull(): boolean {
    return this.#outstanding > maxBuffered || this.#hasClosed || this.#end !== undefined
  }

  /** The port has a copy. */
  isEmpty(): boolean {
    return true
  }

  taken(): number {
    return this.#taken
  }

  onRoom(resume: () => void): void {
    this.#onRoom = resume
  }

  // --- ending -------------------------------------------------------------------------------------------------------

  close(code: number, reason: string): void {
    if (this.#hasClosed || this.#end !== undefined) return
    this.#hasClosed = true
    this.#post([code, reason])
  }

  terminate(): void {
    if (this.#end === undefined) this.#post([CloseCode.ABNORMAL, ""])
    this.#finish(closeError(CloseCode.ABNORMAL, ""))
  }

  hangUp(): void {
    this.terminate()
  }

  /** Closes the link where nobody has, and lets go of the port. */
  release(): void {
    this.close(CloseCode.NORMAL, "")
    this.#finish(closeError(CloseCode.ABNORMAL, ""))
  }

  #finish(end: Socket.SocketError): void {
    if (this.#end !== undefined) return
    this.#end = end
    const port = this.#port
    port.removeEventListener("message", this.#onMessage)
    port.removeEventListener("messageerror", this.#onError)
    port.removeEventListener("close", this.#onClose)
    port.close?.()
    this.#gate.notify()
  }
}

/** The code and the reason of a close, or of a link that is given up. */
const isClose = (data: unknown): data is readonly [code: number, reason: string] =>
  Array.isArray(data) && data.length === 2 && Number.isInteger(data[0]) && Predicate.isString(data[1]) &&
  data[1].length <= maxCloseReason && (data[0] === CloseCode.ABNORMAL || isCloseCode(data[0]))

/** `maxSize`: of a message of the peer. @internal */
export const fromMessagePort = (
  port: MessagePortLike,
  maxSize: number
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new MessagePortLink(port, maxSize)),
    (link) => Effect.sync(() => link.release())
  )

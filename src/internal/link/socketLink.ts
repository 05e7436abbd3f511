/**
 * A link over a stream of bytes (PROTOCOL.md, "Length prefix"): any Effect `Socket`.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as CloseCode from "../frame/CloseCode.ts"
import { Gate } from "../scheduling/gate.ts"
import { delay } from "../scheduling/timers.ts"
import { untilRead } from "../scheduling/turn.ts"
import { encode, encodeClose, MessageReader, type StreamEnd } from "./lengthPrefix.ts"
import { type Link, maxBuffered } from "./link.ts"

type Message = Uint8Array | string
type Pull<A> = Effect.Effect<NonEmptyReadonlyArray<A>, Socket.SocketError>

/**
 * So many bytes are handed to the socket at a time, which tells when it has room again: `taken` grows as often. The highest mark
 * of Node's sockets.
 */
const portion = 64 * 1024

/** While so many bytes of a message arrive in time, it may take longer (PROTOCOL.md, "Limits"). */
const progress = 64 * 1024

/** How long a socket stays open for the peer to read the close, and to end its stream. As `closeTimeout` by default. */
const linger = "5 seconds"

/** @internal */
export interface SocketLinkOptions {
  /** Bytes that a message of the peer may have. */
  readonly maxSize: number
  readonly messageTimeout: Duration.Duration
  readonly isSecure: boolean
}

const closeError = (code: number, closeReason: string) =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })

const lost = closeError(CloseCode.ABNORMAL, "")

const tooSlow = new Socket.SocketError({
  reason: new Socket.SocketReadError({ cause: new Error("a message took too long to arrive (messageTimeout)") })
})

const isClosed = new Socket.SocketError({
  reason: new Socket.SocketWriteError({ cause: new Error("the link is closed") })
})

class SocketLink implements Link {
  readonly pull: Pull<Message>
  readonly isSecure: boolean
  readonly #writer: Socket.Writer
  /** What is read, and what is written. The socket is open until the first of them closes. */
  readonly #reading: Scope.Closeable
  readonly #writing: Scope.Closeable
  readonly #context: Context.Context<never>
  readonly #bytes: Pull<Uint8Array>
  readonly #read: Pull<Uint8Array>
  readonly #reader: MessageReader
  readonly #messageMillis: number
  /** A pull waits for the socket. Whoever else reads waits for it: the socket gives each piece to one of them. */
  #isReading = false
  readonly #idle = new Gate()
  #isReleased = false
  #isWatched = false
  /** How the link has ended. Messages that came before are given first. */
  #end: Socket.SocketError | undefined = undefined
  #isLost = false
  /** This end has sent its close. */
  #isClosed = false
  #queue: Array<Uint8Array<ArrayBuffer>> = []
  #queued = 0
  /** Bytes that the socket has not taken, of those that it was handed. */
  #handed = 0
  #taken = 0
  #isCorked = false
  #onRoom: (() => void) | undefined = undefined

  get partialBytes(): number {
    return this.#reader.partial
  }

  constructor(
    bytes: Pull<Uint8Array>,
    writer: Socket.Writer,
    [reading, writing]: readonly [Scope.Closeable, Scope.Closeable],
    context: Context.Context<never>,
    { isSecure, maxSize, messageTimeout }: SocketLinkOptions
  ) {
    this.isSecure = isSecure
    this.#writer = writer
    this.#reading = reading
    this.#writing = writing
    this.#context = context
    this.#bytes = bytes
    this.#read = Effect.onInterrupt(bytes, () => Effect.sync(() => this.#stopReading()))
    this.#reader = new MessageReader(maxSize)
    this.#messageMillis = Duration.toMillis(messageTimeout)
    this.pull = Effect.suspend(() => this.#next())
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  #next(): Pull<Message> {
    const { messages } = this.#reader
    if (messages.length > 0) {
      this.#reader.messages = []
      return Effect.succeed(messages as unknown as NonEmptyReadonlyArray<Message>)
    }
    if (this.#end !== undefined) return Effect.fail(this.#end)
    if (this.#isReleased) return Effect.fail(lost)
    this.#isReading = true
    this.#watch()
    return Effect.matchEffect(this.#read, {
      onFailure: (error) => {
        this.#stopReading()
        this.#lose(error)
        return this.pull
      },
      onSuccess: (pieces) => {
        this.#stopReading()
        this.#feed(pieces)
        return this.pull
      }
    })
  }

  #stopReading(): void {
    this.#isReading = false
    this.#idle.notify()
  }

  #feed(pieces: NonEmptyReadonlyArray<Uint8Array>): void {
    for (const piece of pieces) {
      const end = this.#reader.feed(piece)
      if (end !== undefined) return this.#endWith(end)
    }
  }

  #endWith({ code, isFault, reason }: StreamEnd): void {
    this.#end ??= closeError(code, reason)
    // A close is answered by one of the same code.
    this.close(code, isFault ? reason : "")
    this.#flush()
  }

  /** The stream has ended without a close, or has failed. */
  #lose(error: Socket.SocketError): void {
    this.#isLost = true
    this.#end ??= error.reason._tag === "SocketCloseError" ? lost : error
    this.#queue = []
    this.#queued = 0
  }

  /** Gives the link up when a message has begun and does not go on. There is one timer at a time. */
  #watch(): void {
    const { begun, partial } = this.#reader
    if (this.#isWatched || partial === 0) return
    this.#isWatched = true
    delay(this.#fork, this.#messageMillis, () => {
      this.#isWatched = false
      const now = this.#reader
      const goesOn = now.begun !== begun || now.partial === 0 || now.partial - partial >= progress
      // Nothing arrives while nobody reads, which is not the peer's fault.
      if (goesOn || !this.#isReading) return this.#watch()
      this.#lose(tooSlow)
      this.terminate()
    })
  }

  /** On a fiber that ends with the link. */
  readonly #fork = (effect: Effect.Effect<void>): Fiber.Fiber<void> =>
    Fiber.runIn(Effect.runForkWith(this.#context)(effect), this.#reading)

  // --- writing ------------------------------------------------------------------------------------------------------

  send(message: Uint8Array<ArrayBuffer> | string): Socket.SocketError | undefined {
    if (this.#isClosed || this.#end !== undefined) return isClosed
    for (const piece of encode(message)) this.#add(piece)
    if (!this.#isCorked) this.#flush()
    return undefined
  }

  #add(piece: Uint8Array<ArrayBuffer>): void {
    this.#queue.push(piece)
    this.#queued += piece.length
  }

  #flush(): void {
    while (this.#handed === 0 && this.#queued > 0) {
      const fiber = Effect.runForkWith(this.#context)(this.#writer.writeAll(this.#portion()))
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) this.#written(exit)
      else {
        fiber.addObserver((exit) => {
          this.#written(exit)
          this.#flush()
        })
      }
    }
    // The other end ends its stream as well when it has read that this one has ended.
    if (this.#isClosed && this.#end !== undefined && this.#handed === 0) this.#endStream()
  }

  #portion(): NonEmptyReadonlyArray<Uint8Array> {
    const pieces: Array<Uint8Array> = []
    let size = 0
    while (size < portion && pieces.length < this.#queue.length) {
      const piece = this.#queue[pieces.length]!
      pieces.push(piece)
      size += piece.length
    }
    this.#queue = this.#queue.slice(pieces.length)
    this.#queued -= size
    this.#handed = size
    return pieces as unknown as NonEmptyReadonlyArray<Uint8Array>
  }

  #written(exit: Exit.Exit<void, Socket.SocketError>): void {
    this.#taken += this.#handed
    this.#handed = 0
    // Whoever reads is told of it as well, and why. What is written from now on is lost.
    if (Exit.isFailure(exit)) return this.#lose(lost)
    const resume = this.#onRoom
    if (resume === undefined || this.isFull()) return
    this.#onRoom = undefined
    resume()
  }

  isFull(): boolean {
    return this.#queued + this.#handed > maxBuffered || this.#isClosed || this.#end !== undefined
  }

  /** The socket does not tell when it has handed on what it has taken. */
  isEmpty(): boolean {
    return false
  }

  taken(): number {
    return this.#taken
  }

  onRoom(resume: () => void): void {
    this.#onRoom = resume
  }

  cork(): void {
    this.#isCorked = true
  }

  uncork(): void {
    this.#isCorked = false
    this.#flush()
  }

  // --- ending -------------------------------------------------------------------------------------------------------

  close(code: number, reason: string): void {
    if (this.#isClosed || this.#isLost) return
    this.#isClosed = true
    this.#add(encodeClose(code, reason))
    this.#flush()
  }

  #endStream(): void {
    Effect.runForkWith(this.#context)(Scope.close(this.#writing, Exit.void))
  }

  terminate(): void {
    this.#lose(lost)
    // Sockets of Node drop at once what they have not sent; closing the scope alone would wait for the peer to take it.
    const { write } = this.#writer
    const dropped = Effect.runForkWith(this.#context)(Effect.ignore(write(new Socket.CloseEvent(CloseCode.NORMAL))))
    dropped.interruptUnsafe()
    // Not at once: a stream of Node that is dropped may have an error, which ends the process where nobody listens any more.
    Effect.runForkWith(this.#context)(Effect.andThen(untilRead, Scope.close(this.#reading, Exit.void)))
  }

  hangUp(): void {
    this.terminate()
  }

  /**
   * Closes the link where nobody has, and lets go of it. A fiber of its own waits for a moment: a socket that is closed before
   * everything was read from it drops what it has sent.
   */
  get release(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.close(CloseCode.NORMAL, "")
      this.#isReleased = true
      if (this.#isLost) return Effect.sync(() => this.terminate())
      const next = Effect.andThen(this.#idle.until(() => !this.#isReading), this.#bytes)
      const rest = Effect.timeoutOption(Effect.ignore(Effect.forever(next)), linger)
      return Effect.asVoid(Effect.forkDetach(Effect.andThen(rest, Effect.sync(() => this.terminate()))))
    })
  }
}

/** @internal */
export const fromSocket = (
  socket: Socket.Socket,
  options: SocketLinkOptions
): Effect.Effect<Link, Socket.SocketError, Scope.Scope> =>
  Effect.suspend(() => {
    const scopes = [Scope.makeUnsafe(), Scope.makeUnsafe()] as const
    const [reading, writing] = scopes
    const opened = Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const bytes = yield* Scope.provide(Socket.readerBytes(socket), reading)
      const writer = yield* Scope.provide(socket.writer, writing)
      return new SocketLink(bytes, writer, scopes, context, options)
    })
    return Effect.acquireRelease(
      Effect.onError(opened, (cause) => Scope.close(reading, Exit.failCause(cause))),
      (link) => link.release,
      { interruptible: true }
    )
  })

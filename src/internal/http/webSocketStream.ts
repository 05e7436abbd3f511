/**
 * A WebSocket over the raw bytes of an upgraded stream (PROTOCOL.md, "WebSockets").
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { awaitTurn, isTurnOver, stepCost } from "../scheduling/turn.ts"
import type { Opened } from "./rawSocket.ts"
import { closeError, type RawStream, writeError } from "./rawStream.ts"
import * as frames from "./webSocketFrames.ts"
import { FrameReader, type Received } from "./webSocketReader.ts"

/** Bytes of a message that is received, where the application has set no `MaxBodySize`. @internal */
export const maxMessageSize = 16 * 1024 * 1024

/**
 * Messages wait in the send buffer of their stream, whose writer waits while it is full. The close frame is the last thing that an
 * end sends: END follows at once.
 *
 * @internal
 */
export class WebSocketStream implements Opened {
  readonly #raw: RawStream
  readonly #asked: boolean
  readonly #reader: FrameReader
  /** What has arrived and was not read, from `#at` on. */
  #chunks: ReadonlyArray<Uint8Array> = []
  #at = 0
  /** What was read and not taken. */
  #messages: Array<Uint8Array | string> = []
  #hasClosed = false
  /** Why nothing more arrives. */
  #end: Socket.SocketError | undefined
  /** The answer to that. It leaves when the application has taken the messages before, which it may answer, too. */
  #farewell: { readonly code: number; readonly reason: string } | undefined
  /** The data of a ping that was not answered yet, because the send buffer is full. Of several the last. */
  #ping: Uint8Array | undefined

  /** `asked`: this end has asked for it, and may give it up. */
  constructor(raw: RawStream, maxSize: number, asked: boolean) {
    this.#raw = raw
    this.#asked = asked
    this.#reader = new FrameReader(maxSize)
    raw.onRoom = () => this.#pong()
  }

  /** Messages that have arrived. Fails with the close code of the peer behind the last one; with 1006 if there is none. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError> = Effect.suspend(() => {
    if (this.#end !== undefined) {
      this.closeWith(1000, "")
      return Effect.fail(this.#end)
    }
    if (this.#chunks.length > 0) {
      // Those that are read on now may be very many.
      return isTurnOver(stepCost) ? Effect.andThen(awaitTurn, this.pull) : this.#next()
    }
    return Effect.matchEffect(this.#raw.pull, {
      onFailure: ({ reason }) => Effect.fail(this.#end ??= closeError(1006, lossOf(reason))),
      onSuccess: (chunks) => {
        this.#chunks = chunks
        return this.#next()
      }
    })
  })

  /** Reads as many frames as don't take long, so that other connections have their turn. */
  #next(): typeof this.pull {
    let index = 0
    for (; index < this.#chunks.length && this.#end === undefined; index++) {
      const chunk = this.#chunks[index]!
      this.#at = this.#reader.read(chunk, this.#at, this.#onReceived)
      if (this.#at < chunk.length) break
      this.#at = 0
    }
    this.#chunks = this.#chunks.slice(index)
    const { fault, size } = this.#reader
    if (fault !== undefined) {
      this.#end = closeError(fault.code, fault.reason)
      this.#farewell = fault
    }
    if (this.#end !== undefined) this.#chunks = []
    this.#raw.mux.keep?.(this.#raw.stream, size + this.#chunks.reduce((sum, { length }) => sum + length, 0))
    const messages = this.#messages
    this.#messages = []
    return isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : this.pull
  }

  readonly #onReceived = (received: Received): void => {
    switch (received._tag) {
      case "Message":
        this.#messages.push(received.data)
        return
      case "Ping":
        this.#ping = received.data
        return this.#pong()
      case "Close":
        this.#end = closeError(received.code, received.reason)
        this.#farewell = { code: received.code, reason: "" }
    }
  }

  #pong(): void {
    const data = this.#ping
    if (data === undefined || this.#hasClosed || this.#raw.room.isFull) return
    this.#ping = undefined
    this.#send(frames.frame(frames.Opcode.PONG, data))
  }

  #send(parts: ReadonlyArray<Uint8Array>): boolean | Socket.SocketError {
    let result: boolean | Socket.SocketError = true
    for (const part of parts) result = this.#raw.send(part)
    return result
  }

  /** Sends a message without waiting. Answers whether there is room for more, or why it can't be sent. */
  send(data: Uint8Array | string): boolean | Socket.SocketError {
    return this.#hasClosed ? writeError(new Error("the WebSocket was closed")) : this.#send(frames.message(data))
  }

  /** Sends a close frame, and nothing behind it. */
  closeWith(code: number, reason: string): void {
    if (this.#hasClosed) return
    this.#hasClosed = true
    const farewell = this.#farewell ?? { code, reason }
    this.#send(frames.close(farewell.code, farewell.reason))
    this.#raw.finish()
  }

  write(chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (!Socket.isCloseEvent(chunk)) return this.#raw.sent(this.send(chunk))
      if (!frames.isCloseCode(chunk.code)) {
        return Effect.fail(writeError(new RangeError(`${chunk.code} is no code to close a WebSocket with`)))
      }
      this.closeWith(chunk.code, chunk.reason ?? "")
      return Effect.void
    })
  }

  /** Writers of a WebSocket come and go: the close frame ends what this end sends. */
  finish(): void {}

  /** As Effect's servers do when the reader of a WebSocket is released. */
  close(exit: Exit.Exit<unknown, unknown>): void {
    // A peer that takes nothing would not take the close frame either, and have the stream for as long as the connection lives.
    if (this.#asked && Exit.isFailure(exit) && this.#raw.room.isFull) return this.abort()
    this.end(Exit.isSuccess(exit) ? 1000 : Cause.hasInterruptsOnly(exit.cause) ? 1001 : 1011, "")
  }

  /** Closes it, and reads no more. */
  end(code: number, reason: string): void {
    this.closeWith(code, reason)
    this.#raw.release()
  }

  /** Ends it at once: what waits to be sent is lost. */
  abort(): void {
    this.#hasClosed = true
    this.#raw.abort(ErrorCode.CANCELLED, "")
  }

  /** Bytes that wait to be sent. */
  get bufferedAmount(): number {
    return this.#raw.stream.buffered ?? 0
  }
}

/** The peer's bytes have ended without a close frame. */
const lossOf = (reason: Socket.SocketErrorReason): string | undefined =>
  reason._tag === "SocketReadError" && reason.cause instanceof Error ? reason.cause.message : undefined

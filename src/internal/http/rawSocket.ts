/**
 * Effect's `Socket` over the raw bytes of an upgraded stream, as `NodeSocket.fromDuplex` makes one of a connection.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as ErrorCode from "../frame/ErrorCode.ts"
import { Gate } from "../scheduling/gate.ts"
import type { RawStream } from "./rawStream.ts"

const utf8 = new TextEncoder()

type Written = Uint8Array | string | Socket.CloseEvent

/** What a socket is made of: whatever is opened when its reader is acquired. @internal */
export interface Opened {
  readonly pull: Socket.Reader["pull"]
  readonly write: (chunk: Written) => Effect.Effect<void, Socket.SocketError>
  /** The writer was released. */
  readonly finish: (exit: Exit.Exit<unknown, unknown>) => void
  /** The reader was released. */
  readonly close: (exit: Exit.Exit<unknown, unknown>) => void
}

/** Opens what a socket is made of. What waits for the peer goes into `restore`, and can be interrupted. @internal */
export type Open = (
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
) => Effect.Effect<Opened, Socket.SocketError>

/**
 * A socket that is opened when its reader is acquired. Writers wait for that, as those of Effect's sockets do.
 *
 * @internal
 */
export class OpenedSocket implements Socket.Socket {
  readonly [Socket.TypeId]: typeof Socket.TypeId = Socket.TypeId
  readonly #open: Open
  readonly #reopens: boolean
  readonly #gate = new Gate()
  #opened: Opened | undefined

  /** `reopens`: each reader opens it anew. Writers wait for the next one then. */
  constructor(open: Open, reopens = false) {
    this.#open = open
    this.#reopens = reopens
  }

  get reader(): Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.flatMap(this.#open(restore), (opened) => {
          this.#opened = opened
          this.#gate.notify()
          const release = (exit: Exit.Exit<unknown, unknown>) =>
            Effect.sync(() => {
              if (this.#reopens && this.#opened === opened) this.#opened = undefined
              opened.close(exit)
            })
          return Effect.as(Scope.addFinalizerExit(scope, release), {
            pull: opened.pull,
            upgrade: Socket.SocketUpgradeError.unsupported
          })
        }))
    )
  }

  get writer(): Effect.Effect<Socket.Writer, never, Scope.Scope> {
    const write = (chunk: Written): Effect.Effect<void, Socket.SocketError> =>
      Effect.suspend(() =>
        this.#opened === undefined
          ? Effect.andThen(this.#gate.until(() => this.#opened !== undefined), write(chunk))
          : this.#opened.write(chunk)
      )
    const writeAll = (chunks: NonEmptyReadonlyArray<Uint8Array | string>) =>
      Effect.forEach(chunks, write, { discard: true })
    return Effect.acquireRelease(
      Effect.succeed({ write, writeAll }),
      (_, exit) => Effect.sync(() => this.#opened?.finish(exit))
    )
  }
}

/** Bytes have ended in good order. Other codes are losses. @internal */
export const isEnd = (error: unknown): boolean =>
  Socket.isSocketError(error) && error.reason._tag === "SocketCloseError" && error.reason.code === 1000

/** Effects that end with the socket fail with its end: that is no failure of theirs. */
const isOrderly = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isSuccess(exit) ||
  exit.cause.reasons.every((reason) => reason._tag === "Fail" && isEnd(reason.error))

const isInterrupt = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

const failed = "the socket's user has failed"

/** @internal */
export const fromRaw = (raw: RawStream): Opened => ({
  pull: raw.pull,
  write: (chunk) =>
    Effect.suspend(() => {
      if (!Socket.isCloseEvent(chunk)) {
        return raw.sent(raw.send(typeof chunk === "string" ? utf8.encode(chunk) : chunk))
      }
      if (chunk.code > 1000) raw.abort(ErrorCode.CANCELLED, `closed with the code ${chunk.code}`)
      else raw.release()
      return Effect.void
    }),
  finish: (exit) => {
    if (isOrderly(exit)) return raw.finish()
    // No END: the peer must not take a part for the whole. Whoever interrupts a writer may do the same to its reader, whose end
    // says which it is.
    if (!isInterrupt(exit) && !raw.stream.isWritten) raw.abort(ErrorCode.INTERNAL_ERROR, failed)
  },
  close: (exit) => {
    if (isOrderly(exit)) return raw.release()
    raw.abort(isInterrupt(exit) ? ErrorCode.CANCELLED : ErrorCode.INTERNAL_ERROR, failed)
  }
})

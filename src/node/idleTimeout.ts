/**
 * The idle timeout of a socket in memory, as `net.Socket` has one: clients of Node end requests by it that take too long.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Duplex } from "node:stream"

class IdleTimeout {
  readonly #socket: Duplex
  readonly #context: Context.Context<never>
  readonly #clock: Clock.Clock
  /** 0: there is none. */
  #millis = 0
  #lastUse = 0
  #waiting: Fiber.Fiber<void> | undefined

  constructor(socket: Duplex, context: Context.Context<never>) {
    this.#socket = socket
    this.#context = context
    this.#clock = Context.get(context, Clock.Clock)
  }

  set(millis: number): void {
    this.stop()
    this.#millis = this.#socket.destroyed ? 0 : millis
    this.noteUse()
  }

  noteUse(): void {
    if (this.#millis === 0) return
    this.#lastUse = this.#clock.currentTimeMillisUnsafe()
    this.#waiting ??= Effect.runForkWith(this.#context)(this.#wait)
  }

  stop(): void {
    this.#millis = 0
    this.#waiting?.interruptUnsafe()
    this.#waiting = undefined
  }

  readonly #wait: Effect.Effect<void> = Effect.suspend(() => {
    const left = this.#lastUse + this.#millis - this.#clock.currentTimeMillisUnsafe()
    if (left > 0) return Effect.andThen(Effect.sleep(left), this.#wait)
    this.#waiting = undefined
    this.#socket.emit("timeout")
    return Effect.void
  })
}

/**
 * Gives a socket a `setTimeout`: it emits `timeout` when nothing was read or written for so long. `millis`: what is set already.
 *
 * @internal
 */
export const giveTimeout = (socket: Duplex, context: Context.Context<never>, millis = 0): void => {
  const timeout = new IdleTimeout(socket, context)
  const write = socket.write.bind(socket) as (...args: ReadonlyArray<unknown>) => boolean
  const push = socket.push.bind(socket)
  socket.once("close", () => timeout.stop())
  Object.assign(socket, {
    write(...args: ReadonlyArray<unknown>) {
      timeout.noteUse()
      return write(...args)
    },
    push(chunk: unknown, encoding?: BufferEncoding) {
      timeout.noteUse()
      return push(chunk, encoding)
    },
    setTimeout: (millis: number, onTimeout?: () => void) => {
      timeout.set(millis)
      if (onTimeout !== undefined) {
        if (millis > 0) socket.once("timeout", onTimeout)
        else socket.off("timeout", onTimeout)
      }
      return socket
    }
  })
  if (millis > 0) timeout.set(millis)
}

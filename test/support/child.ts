/**
 * What runs in the other processes of a test: how they talk with it, and what they measure of themselves.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { heapBytes } from "./measurements.ts"

/** A message between processes. */
export interface Message {
  readonly type: string
}

const waiting: Array<Message> = []
let notify: (() => void) | undefined = undefined

/** The next message of the test, which must be of this type. */
export const hear = <M extends Message>(type: M["type"]): Effect.Effect<M> =>
  Effect.callback((resume) => {
    const take = () => {
      notify = undefined
      const message = waiting.shift()!
      resume(
        message.type === type
          ? Effect.succeed(message as M)
          : Effect.die(new Error(`heard "${message.type}" instead of "${type}"`))
      )
    }
    if (waiting.length > 0) take()
    else notify = take
  })

export const tell = <M extends Message>(message: M): Effect.Effect<void> => Effect.sync(() => process.send!(message))

/** Runs until the test ends the process, or goes away itself. */
export const main = (effect: Effect.Effect<unknown, unknown, Scope.Scope>): void => {
  process.on("disconnect", () => process.exit(1))
  process.on("message", (message) => {
    waiting.push(message as Message)
    notify?.()
  })
  Effect.runPromise(Effect.scoped(Effect.andThen(effect, Effect.never))).catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
}

export interface Memory extends Message {
  readonly type: "memory"
  /** Heap, and what it holds outside, before and at its peak. */
  readonly idle: number
  readonly peak: number
  /** The part of the peak that is `ArrayBuffer`s. */
  readonly arrayBuffers: number
  readonly roundTripMillis: number | undefined
}

/** Looks at the memory of this process every 50 ms, once it has collected its garbage. */
export const watchMemory = (connection: Connection.Connection) => {
  globalThis.gc!()
  const idle = heapBytes()
  let [peak, arrayBuffers] = [0, 0]
  const look = () => {
    peak = Math.max(peak, heapBytes())
    arrayBuffers = Math.max(arrayBuffers, process.memoryUsage().arrayBuffers)
  }
  const timer = setInterval(look, 50)
  return {
    stop: Effect.map(connection.statistics, ({ roundTripMillis }): Memory => {
      clearInterval(timer)
      look()
      return { type: "memory", idle, peak, arrayBuffers, roundTripMillis }
    })
  }
}

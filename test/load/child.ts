/**
 * Other processes of a load test: how the test starts them and talks with them, and what runs in them.
 */
import type * as Connection from "effect-swaggersocket/Connection"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork as forkProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { heapBytes } from "./harness.ts"

/** A message between processes. */
export interface Message {
  readonly type: string
}

export interface Child {
  readonly process: ChildProcess
  readonly tell: <M extends Message>(message: M) => Effect.Effect<void>
  /** The next message, which must be of this type. */
  readonly hear: <M extends Message>(type: M["type"]) => Effect.Effect<M, Error>
  /** Resident memory as the kernel sees it, in bytes: the process need not have time to answer. */
  readonly rss: () => number
}

const root = path.join(import.meta.dirname, "../..")
const pageSize = 4096

/** Starts a file of `children`; it is killed with the scope. */
export const fork = (
  file: string,
  args: ReadonlyArray<string> = []
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const messages = Effect.runSync(Queue.unbounded<Message>())
      const child = forkProcess(path.join(import.meta.dirname, "children", file), args, {
        cwd: root,
        execArgv: ["--expose-gc", "--import", "tsx"],
        stdio: ["ignore", "inherit", "inherit", "ipc"]
      })
      child.on("message", (message) => Queue.offerUnsafe(messages, message as Message))
      child.once("exit", (code, signal) => {
        Queue.offerUnsafe(messages, { type: `the process ended (${code ?? signal})` })
      })
      return {
        process: child,
        tell: (message) => Effect.sync(() => child.send(message)),
        hear: <M extends Message>(type: M["type"]) =>
          Effect.flatMap(Queue.take(messages), (message) =>
            message.type === type
              ? Effect.succeed(message as M)
              : Effect.fail(new Error(`heard "${message.type}" from ${file} instead of "${type}"`))),
        rss: () => Number(readFileSync(`/proc/${child.pid}/statm`, "utf8").split(" ")[1]) * pageSize
      }
    }),
    ({ process: child }) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

// --- in the child ----------------------------------------------------------------------------------------------------

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

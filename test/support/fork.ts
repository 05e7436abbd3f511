/**
 * Other processes of a test: how it starts them and talks with them.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork as forkProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { bundle } from "./bundle.ts"
import type { Message } from "./child.ts"

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

/** Starts a TypeScript file as a process, which is killed with the scope. */
export const fork = (
  file: URL,
  args: ReadonlyArray<string> = []
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.map(Effect.promise(() => bundle(fileURLToPath(file))), (program): Child => {
      const messages = Effect.runSync(Queue.unbounded<Message>())
      const child = forkProcess(program, args, {
        cwd: root,
        execArgv: ["--expose-gc"],
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
              : Effect.fail(
                new Error(`heard "${message.type}" from ${path.basename(file.pathname)} instead of "${type}"`)
              )),
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

/**
 * The programs of this folder, each in its runtime.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { whole } from "../support/extent.ts"
import { commandOf } from "./installed.ts"

/** A runtime, and how it runs a program. */
export interface Runtime {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Goes behind the paths of the hubs. */
  readonly query?: string
  /** Bytes of the bodies that are transferred: fewer where another entry of the same runtime transfers more. */
  readonly size: number
  /** Whether it is a program that ends when its hubs do. */
  readonly ends: boolean
}

const deno = ["run", "--allow-all", "--node-modules-dir=manual", "--no-lock", "--quiet"]

export const onDeno = (program: string) => ({ command: commandOf("deno"), args: [...deno, program] })

export const onBun = (program: string) => ({ command: commandOf("bun"), args: ["run", program] })

const onNode = (program: string) => ({ command: process.execPath, args: ["--import", "tsx", program] })

const onWorkers = { command: process.execPath, args: ["workers.mjs"] }

const [mebibyte, large] = [1024 * 1024, 8 * 1024 * 1024]

const small = whole ? large : mebibyte

export const durableObject: Runtime = {
  name: "a Durable Object",
  ...onWorkers,
  query: "?object=hub",
  size: large,
  ends: false
}

export const runtimes: ReadonlyArray<Runtime> = [
  { name: "Deno.serve", ...onDeno("deno.ts"), size: large, ends: true },
  { name: "Bun.serve", ...onBun("bun.ts"), size: large, ends: true },
  durableObject,
  { name: "Hono on Deno", ...onDeno("honoOnDeno.ts"), size: small, ends: true },
  { name: "Hono on Bun", ...onBun("honoOnBun.ts"), size: small, ends: true },
  { name: "Hono on Node", ...onNode("honoOnNode.mjs"), size: small, ends: true },
  { name: "Hono in a Durable Object", ...onWorkers, query: "?hono&object=hub", size: small, ends: false }
]

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess
  /** What it has printed so far. */
  readonly output: () => string
  /** Its exit code, or the signal that has ended it. */
  readonly ended: Promise<number | string | null>
}

/** Runs until the scope closes. */
export const start = (folder: string, { args, command }: Pick<Runtime, "args" | "command">, ...more: Array<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const child = spawn(command, [...args, ...more], {
        cwd: folder,
        env: { ...process.env, NO_COLOR: "1", DO_NOT_TRACK: "1" },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => output += text)
      }
      const ended = new Promise<number | string | null>((resolve) =>
        child.once("close", (code, signal) => resolve(code ?? signal))
      )
      return { child, ended, output: () => output }
    }),
    ({ child, ended }) =>
      Effect.promise(async () => {
        child.kill("SIGTERM")
        const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
        await ended
        clearTimeout(timer)
      })
  )

/**
 * The programs of the chatter example, run as their users run them, with what they print.
 */
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { WebSocket } from "ws"
import { bundle } from "../../support/bundle.ts"
import { atEndOfFile } from "../../support/endOfFile.ts"

const root = path.join(import.meta.dirname, "../../..")

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Program {
  readonly write: (text: string) => void
  /** Writes, and ends the standard input. */
  readonly end: (text?: string) => void
  readonly kill: (signal: NodeJS.Signals) => void
  /** The standard output as soon as it matches; fails if the program ends before. */
  readonly prints: (pattern: RegExp | string) => Promise<string>
  readonly hasPrinted: (pattern: RegExp | string) => boolean
  /** Nobody reads the standard output any more. */
  readonly closeOutput: () => void
  readonly ended: Promise<Ended>
}

interface Options {
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Where the server is said to be. */
  readonly url?: string | undefined
  /** In a terminal of its own, whose input and output are those of the program. */
  readonly terminal?: boolean | undefined
  /** As it is described in the file, which takes longer. */
  readonly fromSource?: boolean | undefined
}

const sources = { cli: "examples/chatter/cli.ts", main: "examples/chatter/main.ts" }

const bundles = {
  cli: await bundle(path.join(root, sources.cli)),
  main: await bundle(path.join(root, sources.main))
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Runs a file of the example. It ends with the tests at the latest. */
const run = (file: "cli" | "main", args: ReadonlyArray<string>, options: Options = {}): Program => {
  const { env, fromSource = false, terminal = false } = options
  const program = fromSource ? ["--import", "tsx", sources[file]] : [bundles[file]]
  const command = [process.execPath, ...program, ...args] as const
  const [executable, ...rest] = terminal
    // A shell that waited for the program would be ended by Ctrl+C as well, and its exit code be the one that is seen.
    ? ["script", "-qfec", `exec ${command.map(quote).join(" ")}`, "/dev/null"] as const
    : command
  const { JWT_TOKEN: _, ...inherited } = process.env
  const child = spawn(executable, rest, {
    cwd: root,
    env: { ...inherited, NODE_NO_WARNINGS: "1", NO_COLOR: "1", ...env },
    stdio: ["pipe", "pipe", "pipe"]
  })
  atEndOfFile(() => child.kill("SIGKILL"))
  let stdout = ""
  let stderr = ""
  let over = false
  const watchers = new Set<() => void>()
  const changed = () => {
    for (const watcher of watchers) watcher()
  }
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    changed()
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  // A program that has ended takes no more.
  child.stdin.on("error", () => undefined)
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => {
      over = true
      changed()
      resolve({ code, stdout, stderr })
    })
  })
  const hasPrinted = (pattern: RegExp | string) =>
    typeof pattern === "string" ? stdout.includes(pattern) : pattern.test(stdout)
  return {
    write: (text) => void child.stdin.write(text),
    end: (text = "") => void child.stdin.end(text),
    kill: (signal) => void child.kill(signal),
    prints: (pattern) =>
      new Promise((resolve, reject) => {
        const watcher = () => {
          if (!hasPrinted(pattern) && !over) return
          watchers.delete(watcher)
          if (hasPrinted(pattern)) resolve(stdout)
          else reject(new Error(`${file} ${args.join(" ")} ended without printing ${pattern}:\n${stdout}${stderr}`))
        }
        watchers.add(watcher)
        watcher()
      }),
    hasPrinted,
    closeOutput: () => void child.stdout.destroy(),
    ended
  }
}

export interface Server {
  readonly url: string
  /** Ends the server by a signal. */
  readonly stop: (signal: NodeJS.Signals) => Promise<Ended>
  /** Starts chatter-cli for this server. */
  readonly start: (args: ReadonlyArray<string>, options?: Options) => Program
  /** Runs chatter-cli to its end, with all of its input at once. */
  readonly cli: (args: ReadonlyArray<string>, input?: string) => Promise<Ended>
  /** Opens the WebSocket of a call by itself. */
  readonly open: (endpoint: string) => WebSocket
  /** Sends messages to the end of a call. */
  readonly send: (endpoint: string, messages: ReadonlyArray<string>) => Promise<void>
  /** Sends messages until a subscriber has printed one, which it does when its subscription has begun. */
  readonly untilTold: (subscriber: Program) => Promise<void>
}

/** The service on a free port, and a client that is logged in. */
export const serve = async (args: ReadonlyArray<string> = []): Promise<Server> => {
  const server = run("main", ["--port", "0", ...args])
  const url = /chatter is listening on (\S+)/.exec(await server.prints(/listening on \S+\n/))![1]!
  const response = await fetch(`${url}/login`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from("goa:rocks").toString("base64")}` }
  })
  const token = await response.json() as string
  const env = { JWT_TOKEN: token }
  const open = (endpoint: string) =>
    new WebSocket(`${url.replace("http", "ws")}/${endpoint}`, { headers: { authorization: `Bearer ${token}` } })
  const start = (args: ReadonlyArray<string>, options?: Options) =>
    run("cli", ["--url", options?.url ?? url, ...args], { ...options, env: { ...env, ...options?.env } })
  return {
    url,
    stop: (signal) => {
      server.kill(signal)
      return server.ended
    },
    start,
    cli: (args, input) => {
      const program = start(args)
      program.end(input)
      return program.ended
    },
    open,
    send: async (endpoint, messages) => {
      const webSocket = open(endpoint)
      await once(webSocket, "open")
      for (const message of [...messages, null]) webSocket.send(JSON.stringify(message))
      await once(webSocket, "close")
    },
    untilTold: async (subscriber) => {
      const webSocket = open("echoer")
      await once(webSocket, "open")
      while (!subscriber.hasPrinted("is anybody there?")) {
        webSocket.send(JSON.stringify("is anybody there?"))
        await once(webSocket, "message")
      }
      webSocket.close()
    }
  }
}

/** Runs a program to its end, without a server or without waiting for it. */
export const runToEnd = (file: "cli" | "main", args: ReadonlyArray<string>, options?: Options): Promise<Ended> =>
  run(file, args, options).ended

/** A path for a database, which is gone after the tests. */
export const newDatabase = (): string => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "chatter-"))
  atEndOfFile(() => fs.rmSync(folder, { recursive: true, force: true }))
  return path.join(folder, "chatter.db")
}

/** Why there is no terminal to run programs in, if there is none. */
export const noTerminal: string | undefined = (() => {
  try {
    execFileSync("script", ["-qfec", "true", "/dev/null"], { stdio: "ignore" })
    return undefined
  } catch (error) {
    return `util-linux's script does not run here: ${error instanceof Error ? error.message : String(error)}`
  }
})()

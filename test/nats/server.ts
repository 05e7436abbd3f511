/**
 * A real server of NATS, which can be killed and started again.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

/** Why the tests that need it are skipped, and what helps. */
export const missing = spawnSync("nats-server", ["--version"]).error === undefined
  ? undefined
  : "missing: nats-server. To install it: apt-get install -y nats-server"

export class NatsServer {
  readonly #folder: string
  #process: ChildProcess | undefined
  /** Any, when it is started first; then the same. */
  #port = -1

  constructor(folder: string) {
    this.#folder = folder
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  readonly start: Effect.Effect<void, Error> = Effect.callback((resume) => {
    const process = this.#process = spawn(
      "nats-server",
      ["-js", "-sd", this.#folder, "-a", "127.0.0.1", "-p", String(this.#port)],
      { stdio: ["ignore", "ignore", "pipe"] }
    )
    let log = ""
    process.stderr!.setEncoding("utf8").on("data", (text: string) => {
      log += text
      const port = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(log)?.[1]
      if (port !== undefined) this.#port = Number(port)
      if (log.includes("Server is ready")) resume(Effect.void)
    })
    process.on("exit", () => resume(Effect.fail(new Error(log))))
  })

  readonly kill: Effect.Effect<void> = Effect.callback((resume) => {
    const process = this.#process
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.removeAllListeners("exit").on("exit", () => resume(Effect.void))
    process.kill("SIGKILL")
  })
}

/** Started, and killed with the scope. */
export const makeServer: Effect.Effect<NatsServer, Error, Scope.Scope> = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "swaggersocket-nats-"))),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
  )
  const server = new NatsServer(folder)
  yield* Effect.acquireRelease(server.start, () => server.kill)
  return server
})

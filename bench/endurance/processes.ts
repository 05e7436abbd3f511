/**
 * The processes of a run: started, asked, killed and started again.
 */
import { type ChildProcess, fork } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { DevicesRole, Figures, HubRole, Role, ToChild, ToDriver } from "./messages.ts"

/** Hubs and devices are told apart by their program. */
type RoleOf<Program extends "hub" | "devices"> = Program extends "hub" ? HubRole : DevicesRole

export type Template<P extends "hub" | "devices"> = Omit<RoleOf<P>, keyof Pick<Role, "number" | "folder">>

/** Processes of all runs so far. */
let started = 0

export class Restartable<P extends "hub" | "devices"> {
  readonly program: P
  /** For the next start. */
  role: Template<P>
  readonly #folder: string
  #child: ChildProcess | undefined = undefined
  #heard: Array<ToDriver> = []
  /** How it has ended, unless it was told to. */
  failure: string | undefined = undefined
  #isStopping = false
  #isReady = false
  /** Of its last start. */
  number = 0

  constructor(folder: string, program: P, role: Template<P>) {
    this.#folder = folder
    this.program = program
    this.role = role
  }

  /** Whether it has started, and is not about to leave. */
  get isUp(): boolean {
    return this.#isReady && !this.#isStopping
  }

  /** Starts it with the flags that users start Node.js with: none. Resolves with the URL once all is connected. */
  async start(): Promise<string> {
    const number = this.number = ++started
    const log = openSync(join(this.#folder, `${number}-${this.program}.log`), "a")
    const role = { ...this.role, number, folder: this.#folder }
    const child = fork(join(this.#folder, `${this.program}.js`), [JSON.stringify(role)], {
      cwd: this.#folder,
      execArgv: [],
      stdio: ["ignore", log, log, "ipc"]
    })
    closeSync(log)
    this.#child = child
    this.#heard = []
    this.#isStopping = this.#isReady = false
    child.on("message", (message) => this.#heard.push(message as ToDriver))
    child.once("exit", (code, signal) => {
      if (!this.#isStopping) this.failure = `${this.program} ${number} ended by itself (${code ?? signal})`
      else if (code !== 0 && signal !== "SIGKILL") {
        this.failure = `${this.program} ${number} ended with ${code ?? signal}`
      }
      if (this.#child !== child) return
      this.#child = undefined
      this.#isReady = false
    })
    const { url } = await this.hear("ready", 600_000)
    this.#isReady = true
    return url
  }

  tell(message: ToChild): void {
    if (this.#child?.connected === true) this.#child.send(message)
  }

  async hear<T extends ToDriver["type"]>(type: T, millis: number): Promise<Extract<ToDriver, { readonly type: T }>> {
    const until = performance.now() + millis
    while (performance.now() < until && this.#child !== undefined) {
      const index = this.#heard.findIndex((message) => message.type === type)
      if (index >= 0) return this.#heard.splice(index, 1)[0] as Extract<ToDriver, { readonly type: T }>
      await sleep(20)
    }
    throw new Error(this.failure ?? `${this.program} did not say "${type}"`)
  }

  /** Undefined while the process is not there. */
  async measure(collect: boolean): Promise<Figures | undefined> {
    if (!this.isUp) return undefined
    this.tell({ type: "measure", collect })
    return this.hear("figures", 60_000).then(({ figures }) => figures, () => undefined)
  }

  /** Ends it, and waits for its end. */
  async stop(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    this.#isStopping = true
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve())
      child.kill(signal)
    })
  }
}

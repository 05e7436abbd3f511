import { writeFile } from "node:fs/promises"
import { Session } from "node:inspector/promises"
import type { Usage } from "./messages.ts"

/**
 * Time, CPU time, memory and on demand a CPU profile from `begin` to `end`.
 */
export class Meter {
  readonly #cpuProfile: string | undefined
  readonly #session = new Session()
  #start = 0
  #cpu = process.cpuUsage()
  #ready = 0
  #left = 0

  constructor(cpuProfile: string | undefined) {
    this.#cpuProfile = cpuProfile
  }

  /** What the process has taken so far is not counted as growth. */
  ready(): void {
    this.#ready = process.memoryUsage.rss()
  }

  async begin(): Promise<void> {
    this.#left = left()
    if (this.#cpuProfile !== undefined) {
      this.#session.connect()
      await this.#session.post("Profiler.enable")
      await this.#session.post("Profiler.start")
    }
    this.#cpu = process.cpuUsage()
    this.#start = performance.now()
  }

  async end(): Promise<Usage> {
    const seconds = (performance.now() - this.#start) / 1000
    const { system, user } = process.cpuUsage(this.#cpu)
    if (this.#cpuProfile !== undefined) {
      const { profile } = await this.#session.post("Profiler.stop")
      await writeFile(this.#cpuProfile, JSON.stringify(profile))
    }
    return {
      seconds,
      cpu: (system + user) / 1e6,
      peak: Math.max(0, process.resourceUsage().maxRSS * 1024 - this.#ready),
      left: left() - this.#left
    }
  }
}

/** Resident memory after garbage collections, in processes that were started with `--expose-gc`. */
const left = () => {
  if (globalThis.gc === undefined) return 0
  for (let i = 0; i < 3; i++) globalThis.gc()
  return process.memoryUsage.rss()
}

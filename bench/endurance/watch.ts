/**
 * Memory, file descriptors and event loop of a process.
 */
import { readdirSync } from "node:fs"
import { createHistogram, monitorEventLoopDelay, performance, PerformanceObserver } from "node:perf_hooks"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Figures, Memory } from "./messages.ts"

/** In milliseconds. Each look wakes the process: a finer one costs more than idle connections do. */
const resolution = 20

const memory = (): Memory => {
  const { external, heapTotal, heapUsed, rss } = process.memoryUsage()
  return { rss, heapUsed, heapTotal, external }
}

/** The process runs with the flags of users: the flag is set for the moment of a measurement. */
const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  setFlagsFromString("--no-expose-gc")
  for (let round = 0; round < 3; round++) collect()
}

const millis = (nanos: number): number => Math.round(nanos / 1e4) / 100

export class Watch {
  /** Of completed calls, in microseconds. */
  readonly latency = createHistogram()
  readonly #delay = monitorEventLoopDelay({ resolution })
  #utilization = performance.eventLoopUtilization()
  #since = performance.now()
  #cpu = process.cpuUsage()
  #longestTurn = 0
  #longestCollection = 0
  #turn = performance.now()
  #turnCpu = process.cpuUsage()

  constructor() {
    this.#delay.enable()
    setInterval(() => this.#look(), resolution)
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        this.#longestCollection = Math.max(this.#longestCollection, duration)
      }
    }).observe({ entryTypes: ["gc"] })
  }

  #look(): void {
    const now = performance.now()
    const { system, user } = process.cpuUsage(this.#turnCpu)
    // What others did on the machine meanwhile is not this process's.
    this.#longestTurn = Math.max(this.#longestTurn, Math.min(now - this.#turn - resolution, (system + user) / 1000))
    this.#turn = now
    this.#turnCpu = process.cpuUsage()
  }

  take(collect: boolean, rest: Pick<Figures, "connections" | "counts" | "made" | "open">): Figures {
    const now = performance.now()
    const { system, user } = process.cpuUsage(this.#cpu)
    const { max, percentile } = { max: this.#delay.max, percentile: (share: number) => this.#delay.percentile(share) }
    const late = (nanos: number) => Math.max(0, Math.round((millis(nanos) - resolution) * 100) / 100)
    const figures = {
      ...memory(),
      fds: readdirSync("/proc/self/fd").length,
      loop: { p50: late(percentile(50)), p99: late(percentile(99)), max: late(max) },
      longestTurn: Math.round(this.#longestTurn * 10) / 10,
      longestCollection: Math.round(this.#longestCollection * 10) / 10,
      utilization: performance.eventLoopUtilization(this.#utilization).utilization,
      seconds: (now - this.#since) / 1000,
      cpuSeconds: (system + user) / 1e6,
      latency: {
        p50: this.latency.count === 0 ? 0 : this.latency.percentile(50) / 1000,
        p99: this.latency.count === 0 ? 0 : this.latency.percentile(99) / 1000,
        max: this.latency.count === 0 ? 0 : this.latency.max / 1000
      },
      ...rest
    }
    if (collect) collectGarbage()
    const collected = collect ? memory() : undefined
    this.#begin()
    return { ...figures, collected }
  }

  /** A forced collection is no turn of the program. */
  #begin(): void {
    this.#delay.reset()
    this.latency.reset()
    this.#utilization = performance.eventLoopUtilization()
    this.#since = this.#turn = performance.now()
    this.#cpu = this.#turnCpu = process.cpuUsage()
    this.#longestTurn = this.#longestCollection = 0
  }
}

/**
 * A hub with its devices.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Figures, Kind } from "./messages.ts"
import { Restartable } from "./processes.ts"

export interface Plan {
  readonly name: string
  /** The kinds of the processes of devices, and how many devices each has. */
  readonly kinds: ReadonlyArray<Kind>
  readonly perProcess: number
  /** Calls, cuts, and devices that say goodbye, a second. */
  readonly rate: number
  readonly cuts: number
  readonly churn: number
  /** Share of the cuts that are silent. */
  readonly silence: number
  /** Whether the hub stays. */
  readonly steadyHub: boolean
}

/** Of the calls, devices make so many. */
const shareOfDevices = 0.1

export class Site {
  readonly plan: Plan
  readonly hub: Restartable<"hub">
  readonly fleet: Array<Restartable<"devices">> = []
  readonly count: number
  readonly #folder: string
  #generation = 0

  constructor(folder: string, plan: Plan) {
    const { cuts, kinds, perProcess, rate, silence, steadyHub } = plan
    this.plan = plan
    this.#folder = folder
    this.count = kinds.length * perProcess
    // Either end cuts half of the links.
    const role = { port: 0, rate: rate * (1 - shareOfDevices), cuts: cuts / 2, silence, steadyHub }
    this.hub = new Restartable(folder, "hub", role)
  }

  async start(): Promise<void> {
    const { churn, cuts, kinds, name, perProcess, rate, silence, steadyHub } = this.plan
    const url = await this.hub.start()
    this.hub.role = { ...this.hub.role, port: Number(new URL(url).port) }
    const churned = kinds.filter((kind) => kind === "churned").length
    for (const [index, kind] of kinds.entries()) {
      const process = new Restartable(this.#folder, "devices", {
        url,
        kind,
        count: perProcess,
        name: `${name}${index}.${this.#generation}`,
        rate: rate * shareOfDevices / kinds.length,
        cuts: cuts / 2 / kinds.length,
        churn: kind === "churned" ? churn / churned : 0,
        silence,
        steadyHub
      })
      await process.start()
      this.fleet.push(process)
    }
  }

  get processes(): ReadonlyArray<Restartable<"hub" | "devices">> {
    return [this.hub, ...this.fleet]
  }

  call(): void {
    for (const process of this.processes) process.tell({ type: "call" })
  }

  /**
   * Ends a process of devices and starts it again. With other names, its devices are others to the hub, which waits for the
   * old ones until their sessions expire; with the same names they take the place of the old ones at once.
   */
  async restartDevices(process: Restartable<"devices">, signal: "SIGKILL" | "SIGTERM", rename: boolean): Promise<void> {
    await process.stop(signal)
    const { name } = process.role
    if (rename) process.role = { ...process.role, name: `${name.slice(0, name.indexOf("."))}.${++this.#generation}` }
    await process.start()
    process.tell({ type: "call" })
  }

  async restartHub(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    await this.hub.stop(signal)
    await this.hub.start()
  }

  /** Milliseconds until so many devices are connected, or undefined if they are not within the time. */
  async whole(share: number, millis: number): Promise<number | undefined> {
    const start = performance.now()
    while (performance.now() - start < millis) {
      const at = await this.hub.measure(false)
      if (at !== undefined && at.connections >= share * this.count) return performance.now() - start
      await sleep(500)
    }
    return undefined
  }

  /** No more calls: waits until each has ended. How many have not, and of processes that did not answer why. */
  async stop(): Promise<ReadonlyArray<string>> {
    for (const process of this.processes) process.tell({ type: "stop" })
    const ends = await Promise.all(this.processes.map((process) =>
      process.hear("stopped", 300_000).then(
        ({ open }) => open === 0 ? [] : [`${process.program}: ${open} calls have not ended`],
        (error: unknown) => [String(error)]
      )
    ))
    return ends.flat()
  }

  /** The figures of all processes that are there. */
  async measure(collect: boolean): Promise<ReadonlyMap<Restartable<"hub" | "devices">, Figures>> {
    const measured = new Map<Restartable<"hub" | "devices">, Figures>()
    await Promise.all(this.processes.map(async (process) => {
      const figures = await process.measure(collect)
      if (figures !== undefined) measured.set(process, figures)
    }))
    return measured
  }
}

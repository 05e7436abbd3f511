/**
 * One run: starts everything, disturbs it, and judges.
 */
import { appendFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { watch } from "../src/machine.ts"
import { install } from "./install.ts"
import { type Judgement, Ledger } from "./ledger.ts"
import type { Figures, Kind } from "./messages.ts"
import type { Restartable } from "./processes.ts"
import {
  type Bar,
  barsOfCalls,
  barsOfGrowth,
  barTable,
  line,
  type Mark,
  markTable,
  minuteColumns,
  minuteRow
} from "./report.ts"
import { type Plan, Site } from "./site.ts"

export interface Options {
  /** Devices of the hub that stays, and of another one, which is restarted. */
  readonly connections: number
  readonly restarted: number
  readonly seconds: number
  /** Calls a second of the hub that stays, if the machine sustains them; links that are cut, and devices that say goodbye. */
  readonly rate: number
  readonly cuts: number
  readonly churn: number
  /** Share of the cuts that nobody is told of: only a heartbeat finds out, after up to 45 seconds. */
  readonly silence: number
  /** Processes of devices by kind. */
  readonly kinds: ReadonlyArray<Kind>
  /** MiB by which memory may grow besides a tenth: what is compiled late counts in short runs. */
  readonly slack: number
  /** The package; by default that of this checkout is packed. */
  readonly archive?: string | undefined
  /** The folder with the records and logs stays. */
  readonly keep?: boolean | undefined
  readonly print: (text: string) => void
}

export interface Result {
  readonly bars: ReadonlyArray<Bar>
  readonly judgement: Judgement
  readonly problems: ReadonlyArray<string>
}

/** Into how many parts the time is divided: in an hour a line a minute, a mark every ten. A restart takes some seconds. */
const partsOf = (seconds: number) => ({
  minutes: Math.min(60, Math.ceil(seconds / 5)),
  kills: Math.min(24, Math.ceil(seconds / 5)),
  restarts: Math.min(12, Math.ceil(seconds / 8)),
  marks: Math.min(6, Math.ceil(seconds / 7))
})

type Parts = ReturnType<typeof partsOf>

/** So many devices are connected at any time while others come and go: all, but for a few. */
const most = 0.9

class Run {
  readonly #options: Options
  readonly #folder: string
  readonly #ledger: Ledger
  readonly #parts: Parts
  readonly #steady: Site
  readonly #restarted: Site
  readonly #problems: Array<string> = []
  readonly #happened: Record<string, number> = {}
  /** Of the hub that stays, and of one process of each kind that is not killed. */
  readonly #marks = new Map<string, Array<Figures | undefined>>()
  /** What each process has counted, by its number: those that were killed, too. */
  readonly #counts = new Map<number, Figures["counts"]>()
  /** How many calls had ended, and when, at the last line of the table. */
  #ended = 0
  #since = 0

  constructor(options: Options, folder: string) {
    const { churn, connections, cuts, kinds, rate, restarted, silence } = options
    this.#options = options
    this.#parts = partsOf(options.seconds)
    this.#folder = folder
    this.#ledger = new Ledger(folder)
    const perProcess = Math.round(connections / kinds.length)
    const steady: Plan = { name: "a", kinds, perProcess, rate, cuts, churn, silence, steadyHub: true }
    const share = restarted / connections
    this.#steady = new Site(folder, steady)
    this.#restarted = new Site(folder, {
      name: "b",
      kinds: ["churned"],
      perProcess: restarted,
      rate: rate * share,
      cuts: cuts * share,
      churn: churn * share,
      silence,
      steadyHub: false
    })
  }

  async run(): Promise<Result> {
    const start = performance.now()
    await Promise.all([this.#steady.start(), this.#restarted.start()])
    const seconds = ((performance.now() - start) / 1000).toFixed(0)
    this.#print(`${this.#steady.count} + ${this.#restarted.count} devices are connected after ${seconds} s`)
    await this.#mark()
    await this.#disturb()
    await this.#end()
    this.#ledger.read()
    const judgement = this.#ledger.judge()
    const bars = [...barsOfCalls(judgement), ...this.#barsOfGrowth()]
    const tenMinutes = this.#options.seconds / this.#parts.marks
    const labels = Array.from(
      { length: this.#parts.marks + 1 },
      (_, index) => index === 0 ? "start" : `${(index * tenMinutes / 60).toFixed(tenMinutes < 60 ? 1 : 0)} min`
    )
    const marks: ReadonlyArray<Mark> = [...this.#marks].map(([name, points]) => ({ name, points }))
    this.#print(`\n${markTable(labels, marks)}\n`)
    this.#print(JSON.stringify({ happened: this.#happened, counts: this.#total, judgement }, undefined, 1))
    this.#print(`\n${barTable(bars)}\n`)
    for (const problem of this.#problems) this.#print(problem)
    return { bars, judgement, problems: this.#problems }
  }

  #print(text: string): void {
    this.#options.print(text)
  }

  #did(what: string): void {
    this.#happened[what] = (this.#happened[what] ?? 0) + 1
  }

  /** Calls, cuts, churn, kills and restarts until the time is over. */
  async #disturb(): Promise<void> {
    const { seconds } = this.#options
    const parts = this.#parts
    for (const site of this.#sites) site.call()
    await this.#measure()
    this.#print(`${line(minuteColumns)}\n${line(minuteColumns.map(() => "--:"))}`)
    const start = this.#since = performance.now()
    const done: Record<keyof Parts, number> = { minutes: 0, kills: 0, restarts: 0, marks: 0 }
    let [killing, restarting]: Array<Promise<void> | undefined> = []
    let machine = watch()
    while (done.minutes < parts.minutes) {
      await sleep(100)
      const isDue = (part: keyof Parts) => performance.now() - start >= (done[part] + 1) * seconds * 1000 / parts[part]
      if (isDue("minutes")) {
        await this.#minute(++done.minutes, machine)
        machine = watch()
      }
      if (isDue("marks")) {
        done.marks++
        await Promise.all([killing, restarting])
        await this.#mark()
      }
      if (isDue("kills")) {
        done.kills++
        killing = Promise.all([killing, this.#kill()]).then(() => {}, this.#fail)
      }
      if (isDue("restarts")) {
        const signal = done.restarts++ % 2 === 0 ? "SIGTERM" : "SIGKILL"
        restarting = Promise.all([restarting, this.#restart(signal)]).then(() => {}, this.#fail)
      }
      for (const { failure } of this.#processes) if (failure !== undefined) throw new Error(failure)
    }
    await Promise.all([killing, restarting])
  }

  readonly #fail = (error: unknown): void => {
    this.#problems.push(String(error))
  }

  get #sites(): ReadonlyArray<Site> {
    return [this.#steady, this.#restarted]
  }

  get #processes(): ReadonlyArray<Restartable<"hub" | "devices">> {
    return this.#sites.flatMap(({ processes }) => processes)
  }

  async #kill(): Promise<void> {
    const victims = this.#steady.fleet.filter(({ isUp, role }) => role.kind === "killed" && isUp)
    const victim = victims[Math.floor(Math.random() * victims.length)]
    if (victim === undefined) return
    const signal = Math.random() < 0.6 ? "SIGKILL" : "SIGTERM"
    // In a short run old sessions would not expire before its end.
    const rename = this.#options.seconds >= 1200 && Math.random() < 0.5
    await this.#steady.restartDevices(victim, signal, rename)
    this.#did(`${signal} to ${victim.role.count} devices${rename ? ", others came" : ""}`)
  }

  async #restart(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    await this.#restarted.restartHub(signal)
    const back = await this.#restarted.whole(most, 120_000)
    if (back === undefined) this.#problems.push("The devices of the restarted hub are not back after two minutes")
    this.#restarted.hub.tell({ type: "call" })
    this.#did(`${signal} to a hub`)
  }

  /** The figures of all processes that are there. */
  async #measure(): Promise<ReadonlyMap<Restartable<"hub" | "devices">, Figures>> {
    const measured = await Promise.all(this.#sites.map((site) => site.measure(false)))
    for (const [{ number }, { counts }] of measured.flatMap((each) => [...each])) this.#counts.set(number, counts)
    return new Map(measured.flatMap((each) => [...each]))
  }

  /** What all processes have counted together. */
  get #total(): Readonly<Record<string, number>> {
    const total: Record<string, number> = {}
    for (const counts of this.#counts.values()) {
      for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
    }
    return total
  }

  async #minute(minute: number, machine: (own: number) => number): Promise<void> {
    const measured = await this.#measure()
    const hub = measured.get(this.#steady.hub)
    if (hub === undefined) return
    const own = [...measured.values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
    this.#ledger.read()
    const judgement = this.#ledger.judge()
    const ended = Object.values(judgement.outcomes).reduce((sum, count) => sum + count, 0)
    const now = performance.now()
    const calls = (ended - this.#ended) / (now - this.#since) * 1000
    this.#ended = ended
    this.#since = now
    const { ended: ends = 0, reset = 0, silenced = 0 } = this.#total
    const cuts = ends + reset + silenced
    this.#print(line(minuteRow({ minute, hub, ownCpu: own, others: machine(own), calls, cuts, judgement })))
    for (const [{ program, role }, figures] of measured) {
      appendFileSync(join(this.#folder, "figures.jsonl"), `${JSON.stringify({ minute, program, role, figures })}\n`)
    }
  }

  /** Figures after a collection of garbage, once all are connected. */
  async #mark(): Promise<void> {
    // Some are just leaving, and others that take their places are on the way.
    if (await this.#steady.whole(most, 120_000) === undefined) {
      this.#problems.push("The devices are not back two minutes after the last kill")
    }
    const { fleet, hub } = this.#steady
    const marked: ReadonlyArray<readonly [string, Restartable<"hub" | "devices"> | undefined]> = [
      ["the hub", hub],
      ["devices, cut", fleet.find(({ role }) => role.kind === "cut")],
      ["devices, cut and churned", fleet.find(({ role }) => role.kind === "churned")]
    ]
    for (const [name, process] of marked) {
      if (process === undefined) continue
      const points = this.#marks.get(name) ?? []
      const point = await process.measure(true)
      points.push(point)
      this.#marks.set(name, points)
      appendFileSync(join(this.#folder, "marks.jsonl"), `${JSON.stringify({ name, point })}\n`)
    }
  }

  #barsOfGrowth(): ReadonlyArray<Bar> {
    return [...this.#marks].flatMap(([name, points]) => {
      const [settled, end] = [points[1], points.at(-1)]
      if (settled === undefined || end === undefined) return []
      return barsOfGrowth(name, settled, end, this.#options.slack)
    })
  }

  /** All calls end; then the hub that stayed is restarted, too, and calls all who come back. */
  async #end(): Promise<void> {
    await Promise.all(this.#sites.map(async (site) => this.#problems.push(...await site.stop())))
    await this.#steady.restartHub("SIGTERM")
    const back = await this.#steady.whole(1, 600_000)
    if (back === undefined) this.#problems.push("The devices are not back ten minutes after the restart of the hub")
    else {this.#print(
        `\nall ${this.#steady.count} devices are back ${(back / 1000).toFixed(1)} s after the hub was restarted`
      )}
    this.#steady.hub.tell({ type: "call" })
    await sleep(Math.max(2, this.#options.seconds / this.#parts.minutes) * 1000)
    this.#problems.push(...await this.#steady.stop())
    await Promise.all(this.#sites.flatMap(({ fleet }) => fleet.map((process) => process.stop("SIGTERM"))))
    await Promise.all(this.#sites.map(({ hub }) => hub.stop("SIGTERM")))
    for (const { failure } of this.#processes) if (failure !== undefined) this.#problems.push(failure)
  }

  async kill(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.stop("SIGKILL")))
  }
}

export const isMet = ({ bars, problems }: Result): boolean =>
  problems.length === 0 && bars.every(({ allowed, measured }) => measured <= allowed)

export const endure = async (options: Options): Promise<Result> => {
  const folder = await install(options.archive)
  options.print(`records and logs: ${folder}`)
  const run = new Run(options, folder)
  try {
    return await run.run()
  } finally {
    await run.kill()
    if (options.keep !== true) rmSync(folder, { recursive: true, force: true })
  }
}

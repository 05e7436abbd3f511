/**
 * The table of a run: a line for each minute, and what is asked of the figures at the end.
 */
import { loadavg } from "node:os"
import { markdown } from "../src/table.ts"
import type { Judgement } from "./ledger.ts"
import type { Figures, Memory } from "./messages.ts"

const MiB = 1024 * 1024

const mib = (bytes: number): string => (bytes / MiB).toFixed(0)
const millis = (value: number): string => value < 10 ? value.toFixed(1) : value.toFixed(0)
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`

export interface Minute {
  readonly minute: number
  /** Of the hub that stays. */
  readonly hub: Figures
  /** Processor time of all processes, and the share of the machine that all others had. */
  readonly ownCpu: number
  readonly others: number
  readonly calls: number
  readonly cuts: number
  readonly judgement: Judgement
}

export const minuteColumns = [
  "minute",
  "connections",
  "calls/s",
  "cuts",
  "untrue, twice, hung, lost, shed",
  "RSS MiB",
  "heap MiB",
  "fds",
  "delay p50",
  "p99",
  "max ms",
  "own turn ms",
  "GC ms",
  "busy",
  "hub CPU",
  "own CPU",
  "others'",
  "load",
  "call p50",
  "p99",
  "max ms"
]

export const minuteRow = ({ calls, cuts, hub, judgement, minute, others, ownCpu }: Minute): Array<string> => [
  String(minute),
  String(hub.connections),
  calls.toFixed(0),
  String(cuts),
  [judgement.untrue, judgement.duplicated, judgement.hung, judgement.lost, judgement.outcomes.shed].join(" "),
  mib(hub.rss),
  mib(hub.heapUsed),
  String(hub.fds),
  millis(hub.loop.p50),
  millis(hub.loop.p99),
  millis(hub.loop.max),
  millis(hub.longestTurn),
  millis(hub.longestCollection),
  percent(hub.utilization),
  percent(hub.cpuSeconds / hub.seconds),
  percent(ownCpu / hub.seconds),
  percent(others),
  loadavg()[0]!.toFixed(1),
  millis(hub.latency.p50),
  millis(hub.latency.p99),
  millis(hub.latency.max)
]

export const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** Figures of one process at a point of the run, after a collection of garbage. */
export interface Mark {
  readonly name: string
  readonly points: ReadonlyArray<Figures | undefined>
}

const figures = {
  "RSS MiB": (at: Figures) => mib(at.collected!.rss),
  "heap MiB": (at: Figures) => mib(at.collected!.heapUsed),
  "buffers MiB": (at: Figures) => mib(at.collected!.external),
  "RSS before the collection": (at: Figures) => mib(at.rss),
  "fds": (at: Figures) => String(at.fds)
}

export const markTable = (labels: ReadonlyArray<string>, marks: ReadonlyArray<Mark>): string =>
  markdown([
    ["process", "", ...labels],
    ...marks.flatMap(({ name, points }) =>
      Object.entries(figures).map(([figure, of]) => [
        name,
        figure,
        ...points.map((point) => point === undefined ? "" : of(point))
      ])
    )
  ])

export interface Bar {
  readonly what: string
  readonly allowed: number
  readonly measured: number
}

const growing: ReadonlyArray<readonly [string, (at: Figures & { readonly collected: Memory }) => number, number]> = [
  ["RSS", ({ collected }) => collected.rss / MiB, 1],
  ["heap", ({ collected }) => collected.heapUsed / MiB, 1],
  // Of what is just being dialled or has just been lost.
  ["fds", ({ fds }) => fds, 0]
]

/** What must not have grown from `settled` to the end by more than a tenth, and so many MiB. */
export const barsOfGrowth = (name: string, settled: Figures, end: Figures, slack: number): ReadonlyArray<Bar> =>
  growing.map(([what, of, slackOf]) => ({
    what: `${what} of ${name}`,
    allowed: Math.round(of(settled as Required<Figures> as never) * 1.1 + slack * slackOf),
    measured: Math.round(of(end as Required<Figures> as never))
  }))

export const barsOfCalls = (judgement: Judgement): ReadonlyArray<Bar> => [
  { what: "calls with an untrue outcome", allowed: 0, measured: judgement.untrue },
  { what: "calls that were executed twice", allowed: 0, measured: judgement.duplicated },
  { what: "calls without an end", allowed: 0, measured: judgement.hung },
  { what: "calls lost where only links were", allowed: 0, measured: judgement.lost },
  { what: "wrong answers", allowed: 0, measured: judgement.outcomes.wrong! },
  { what: "errors without an outcome", allowed: 0, measured: judgement.outcomes.silent! }
]

export const barTable = (bars: ReadonlyArray<Bar>): string =>
  markdown([
    ["bar", "at most", "measured", "met"],
    ...bars.map(({ allowed, measured, what }) => [
      what,
      String(allowed),
      String(measured),
      measured <= allowed ? "yes" : "**no**"
    ])
  ])

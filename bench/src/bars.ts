/**
 * What this project has set itself, and by how much it is met.
 */
import { format, markdown, median, ratio, type Run } from "./table.ts"

interface Place {
  readonly scenario: string
  readonly variant: string
  readonly peer: string
}

interface Bar extends Place {
  readonly metric: string
  /** What is compared with; the metric is an absolute value without it. */
  readonly than?: Partial<Place>
  readonly least?: number
  readonly most?: number
}

const against = (
  place: Place & { readonly metric: string },
  bounds: ReadonlyArray<readonly [peer: string, bound: Pick<Bar, "least" | "most">]>
): ReadonlyArray<Bar> => bounds.map(([peer, bound]) => ({ ...place, ...bound, than: { peer } }))

const least = (least: number) => ({ least })
const most = (most: number) => ({ most })

const small64 = { scenario: "small", variant: "64 in flight", metric: "calls/s" }
const memory = (place: Place): ReadonlyArray<Bar> =>
  ["client", "server"].map((end) => ({ ...place, metric: `${end} peak RSS +MiB`, most: 64 }))
const ours = "swaggersocket"
const typed = "swaggersocket-httpapi"
const fetched = "swaggersocket-fetch"
const chunks = ["16 KiB chunks", "64 KiB chunks"]
const items = { scenario: "items", variant: "one stream", metric: "items/s" }
const headOfLine = { scenario: "head-of-line", variant: "64 KiB chunks", peer: ours }
const costs = ["client", "server"].map((end) => `${end} CPU s/100000 calls`)

const bars: ReadonlyArray<Bar> = [
  ...against({ ...small64, peer: ours }, [["ws", least(0.75)], ["rpc", least(2.3)], ["http", least(6)]]),
  ...against({ ...small64, peer: typed }, [["rpc", least(1.15)], ["httpapi", least(3)]]),
  ...against({ ...small64, peer: fetched }, [[ours, least(0.8)]]),
  ...against({ scenario: "small", variant: "1 in flight", peer: ours, metric: "p50 ms" }, [["ws", most(1.6)]]),
  ...chunks.flatMap((variant) => {
    const place = { scenario: "down", variant, peer: ours }
    return [
      ...against({ ...place, metric: "MiB/s" }, [["http", least(1)], ["http2", least(1)], ["ws", least(0.7)]]),
      ...memory(place)
    ]
  }),
  ...[...chunks, "64 KiB chunks, bufferutil"].flatMap((variant) => {
    const place = { scenario: "up", variant, peer: ours }
    return [
      ...against({ ...place, metric: "MiB/s" }, [
        ["ws", least(0.8)],
        ...(variant.includes("bufferutil") ? [["http", least(1)] as const] : [])
      ]),
      ...memory(place)
    ]
  }),
  ...against({ ...items, peer: typed }, [["httpapi", least(1.5)], ["rpc-json", least(1)]]),
  ...against({ ...items, peer: ours }, [["http", least(1)], ["node-http", least(1)]]),
  ...against({ ...headOfLine, metric: "p99 ms" }, [["http2", most(1)], ["http2-windows", most(1)]]),
  ...against({ ...headOfLine, metric: "MiB/s" }, [["http2", least(1)], ["http2-windows", least(1)]]),
  // 8 times what a window of 256 KiB allows in 100 ms
  { scenario: "wan-body", variant: "64 KiB chunks", peer: ours, metric: "MiB/s", least: 20 },
  ...against({
    scenario: "idle",
    variant: "10,000 connections",
    peer: ours,
    metric: "server RSS KiB/connection"
  }, [["upgrade", most(1.6)]]),
  ...["10 connections", "100 connections", "1000 connections"].flatMap((variant) =>
    costs.map((metric) => ({
      scenario: "connections",
      variant,
      peer: ours,
      metric,
      than: { variant: "1 connections" },
      most: 1.25
    }))
  )
]

const evaluate = (runs: ReadonlyArray<Run>, bar: Bar) => {
  const at = ({ peer, scenario, variant }: Place) =>
    runs.filter((run) => run.scenario === scenario && run.variant === variant && run.peer === peer)
  const value = (run: Run) => run.metrics[bar.metric]!
  return bar.than === undefined ? median(at(bar).map(value)) : ratio(at(bar), at({ ...bar, ...bar.than }), value)
}

export const barTable = (runs: ReadonlyArray<Run>): string =>
  markdown([
    ["scenario", "what", "compared with", "bar", "measured", "met"],
    ...bars.flatMap((bar) => {
      const { least, metric, most, peer, scenario, than, variant } = bar
      const measured = evaluate(runs, bar)
      if (Number.isNaN(measured)) return []
      const met = measured >= (least ?? 0) && measured <= (most ?? Infinity)
      const off = measured / (least ?? most!) - 1
      return [[
        `${scenario}, ${variant}`,
        `${metric} of ${peer}`,
        than?.peer ?? than?.variant ?? "",
        `${least === undefined ? "at most" : "at least"} ${least ?? most}`,
        format(measured),
        `${met ? "yes" : "**no**"} (${off >= 0 ? "+" : "−"}${Math.abs(off * 100).toFixed(0)} %)`
      ]]
    })
  ])

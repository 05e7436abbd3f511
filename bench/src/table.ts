export interface Run {
  readonly scenario: string
  readonly variant: string
  readonly peer: string
  readonly title: string
  readonly round: number
  /** The first one is what peers are compared by. */
  readonly metrics: Readonly<Record<string, number>>
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export const format = (value: number) =>
  value >= 1000 ? String(Math.round(value)) : value === 0 ? "0" : value.toPrecision(3)

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

export const markdown = ([head, ...body]: ReadonlyArray<ReadonlyArray<string>>) =>
  [row(head!), row(head!.map((_, i) => i === 0 ? "---" : "--:")), ...body.map(row)].join("\n")

/**
 * The median of the ratios within each round, as what else the machine does changes from round to round; that of the medians
 * where there is no round of both.
 */
export const ratio = (
  runs: ReadonlyArray<Run>,
  other: ReadonlyArray<Run>,
  metric: (run: Run) => number
): number => {
  const ratios = runs.flatMap((run) => {
    const counterpart = other.find(({ round }) => round === run.round)
    return counterpart === undefined ? [] : [metric(run) / metric(counterpart)]
  })
  return ratios.length > 0 ? median(ratios) : median(runs.map(metric)) / median(other.map(metric))
}

/** Peers that get a column with their ratios to all others. */
const compared = ["swaggersocket", "swaggersocket-httpapi", "swaggersocket-streams"]

/**
 * Medians of the runs of a scenario's variant by peer, the fastest first, and the ratios of the first metric.
 */
export const table = (runs: ReadonlyArray<Run>): string => {
  const [first, ...names] = Object.keys(runs[0]?.metrics ?? {})
  if (first === undefined) return "no runs"
  const of = (peer: string) => runs.filter((run) => run.peer === peer)
  const values = (peer: string, name: string) => of(peer).map((run) => run.metrics[name]!)
  const peers = [...new Set(runs.map(({ peer }) => peer))]
    .sort((a, b) => median(values(b, first)) - median(values(a, first)))
  const ours = compared.filter((peer) => peers.includes(peer))

  return markdown([
    ["peer", first, "min – max", ...names, ...ours.map((peer) => `${peer} ÷ it`)],
    ...peers.map((peer) => {
      const rates = values(peer, first)
      return [
        peer,
        format(median(rates)),
        `${format(Math.min(...rates))} – ${format(Math.max(...rates))}`,
        ...names.map((name) => format(median(values(peer, name)))),
        ...ours.map((one) => one === peer ? "" : ratio(of(one), of(peer), (run) => run.metrics[first]!).toFixed(2))
      ]
    })
  ])
}

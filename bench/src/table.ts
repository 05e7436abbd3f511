export interface Run {
  readonly scenario: string
  readonly concurrency: number
  readonly peer: string
  readonly round: number
  /** The first one is what peers are compared by. */
  readonly metrics: Readonly<Record<string, number>>
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const format = (value: number) => value >= 1000 ? String(Math.round(value)) : value.toPrecision(3)

const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

const markdown = ([head, ...body]: ReadonlyArray<ReadonlyArray<string>>) =>
  [row(head!), row(head!.map((_, i) => i === 0 ? "---" : "--:")), ...body.map(row)].join("\n")

/**
 * Medians of a scenario's runs by peer, and the ratios of the first metric. A ratio is the median of the ratios within
 * each round, as what else the machine does changes from round to round.
 */
export const table = (peers: ReadonlyArray<string>, runs: ReadonlyArray<Run>): string => {
  const names = Object.keys(runs[0]?.metrics ?? {})
  const first = names[0]!
  const values = (peer: string, name: string) =>
    runs.filter((run) => run.peer === peer).map((run) => run.metrics[name]!)

  const medians = markdown([
    ["peer", first, "min – max", ...names.slice(1)],
    ...peers.map((peer) => {
      const rates = values(peer, first)
      return [
        peer,
        format(median(rates)),
        `${format(Math.min(...rates))} – ${format(Math.max(...rates))}`,
        ...names.slice(1).map((name) => format(median(values(peer, name))))
      ]
    })
  ])

  const ratios = markdown([
    [`${first}, row ÷ column`, ...peers],
    ...peers.map((peer) => [
      peer,
      ...peers.map((other) => {
        const others = values(other, first)
        return median(values(peer, first).map((value, round) => value / others[round]!)).toFixed(2)
      })
    ])
  ])

  return `${medians}\n\n${ratios}`
}

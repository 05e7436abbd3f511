/**
 * Runs every peer once a round, each time in a fresh server process and a fresh client process, and reports.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { dirname } from "node:path"
import { barTable } from "./bars.ts"
import { settings } from "./flags.ts"
import { quiet } from "./machine.ts"
import { type Outcome, runOnce, type Task } from "./run.ts"
import type { Scenario, Variant } from "./scenario.ts"
import { type Run, table } from "./table.ts"

const { append, missing, out, peersOf, rounds, scenarios, seconds, tracing, warmup } = settings
mkdirSync(dirname(out), { recursive: true })
if (!append) writeFileSync(`${out}.jsonl`, "")

const runs: Array<Run> = readFileSync(`${out}.jsonl`, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line))
/** Rounds that earlier runs had. */
const earlier = Math.max(0, ...runs.map(({ round }) => round))
const operations = new Map<string, ReadonlyArray<string>>()
/** Why a peer is not in a table, by table and peer. */
const reasons = new Map<string, string>()

const tableName = ({ name }: Scenario, { label }: Variant) => `${name}, ${label}`

const leaveOut = (where: string, peer: string, reason: string) => {
  const key = `${where}: ${peer}`
  if (reasons.has(key)) return
  reasons.set(key, reason)
  console.error(`${key} is left out: ${reason}`)
}

/** Repeats a run that others have disturbed; the least disturbed one counts. */
const undisturbed = async (task: Task): Promise<Outcome> => {
  let best: Outcome | undefined
  for (let attempt = 0; attempt < 2; attempt++) {
    await quiet(settings.others)
    const outcome = await runOnce(task)
    if (best === undefined || outcome.others < best.others) best = outcome
    // Those who delay are others, too
    if (best.others <= settings.others || task.scenario.delay !== undefined) break
  }
  return best!
}

const measure = async (task: Task) => {
  const { peer, round, scenario, variant } = task
  const where = tableName(scenario, variant)
  const lacks = () => scenario.needs.find((need) => operations.get(peer)?.includes(need) === false)
  if (lacks() !== undefined) return leaveOut(scenario.name, peer, `it has no \`${lacks()}\``)
  if (reasons.has(`${where}: ${peer}`)) return
  try {
    const outcome = await undisturbed(task)
    operations.set(peer, outcome.operations)
    if (outcome.metrics === undefined) return leaveOut(scenario.name, peer, `it has no \`${lacks()}\``)
    const { metrics, others, title } = outcome
    const run = { scenario: scenario.name, variant: variant.label, peer, title, round, metrics }
    runs.push(run)
    const about = { node: process.version, tracing, others, time: new Date().toISOString() }
    appendFileSync(`${out}.jsonl`, JSON.stringify({ ...run, ...about }) + "\n")
    const [name, value] = Object.entries(run.metrics)[0]!
    console.error(
      `round ${round}/${earlier + rounds} ${where}, ${peer}: ${Math.round(value)} ${name}, others ${
        Math.round(others * 100)
      } %`
    )
  } catch (error) {
    process.exitCode = 1
    leaveOut(where, peer, `round ${round} failed: ${error instanceof Error ? error.message : String(error)}`)
  }
}

for (const peer of missing) leaveOut("all", peer, "it was not built")
if (missing.length > 0) process.exitCode = 1

const report = () =>
  [
    `Node.js ${process.version}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model.trim()}; ` +
    `medians of up to ${earlier + rounds} rounds of ${seconds} s after ${warmup} s of warm-up; Effect's tracing ${
      tracing ? "as it is by default" : "switched off"
    }`,
    ...scenarios.flatMap((scenario) => [
      `## ${scenario.name}\n\n${scenario.title}`,
      ...scenario.variants.map((variant) => {
        const own = runs.filter((run) => run.scenario === scenario.name && run.variant === variant.label)
        return `### ${tableName(scenario, variant)}\n\n${table(own)}`
      })
    ]),
    `## Bars\n\n${barTable(runs)}`,
    `## Peers\n\n${[...new Set(runs.map(({ peer, title }) => `- ${peer}: ${title}`))].sort().join("\n")}`,
    ...(reasons.size === 0
      ? []
      : [`## Left out\n\n${[...reasons].map(([key, reason]) => `- ${key}: ${reason}`).join("\n")}`])
  ].join("\n\n") + "\n"

for (let round = 1; round <= rounds; round++) {
  for (const scenario of scenarios) {
    for (const variant of scenario.variants) {
      if (round > (variant.rounds ?? rounds)) continue
      const peers = peersOf(scenario, variant)
      // Another peer goes first in each round
      for (let i = 0; i < peers.length; i++) {
        await measure({ scenario, variant, peer: peers[(i + round - 1) % peers.length]!, round: earlier + round })
      }
    }
  }
  writeFileSync(`${out}.md`, report())
}
console.log(report())

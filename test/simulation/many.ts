/**
 * Runs the plans of many seeds.
 */
import { planOf } from "./generator.ts"
import { reportOf } from "./report.ts"
import { run } from "./run.ts"

/** Of so many seeds that fail the trace is printed. */
const reported = 3

/** Of so many seeds one runs a second time, and has to be the same. */
const repeated = 50

export interface Many {
  readonly failures: ReadonlyArray<string>
  /** Seeds by their wire, and those that ran twice. */
  readonly runs: { v1: number; v2: number; twice: number }
  /** Of the processor. */
  readonly seconds: number
  readonly steps: number
}

/** Runs `count` seeds from `first` on; a seed that fails is reported. */
export const runMany = async (
  first: number,
  count: number,
  report: (failure: string) => void
): Promise<Many> => {
  const began = process.cpuUsage()
  const failures: Array<string> = []
  const runs = { v1: 0, v2: 0, twice: 0 }
  let steps = 0
  const fail = (failure: string) => {
    failures.push(failure)
    report(failure)
  }
  for (let seed = first; seed < first + count; seed++) {
    const plan = planOf(seed)
    const result = await run(plan)
    runs[plan.wire]++
    steps += result.steps
    if (result.faults.length > 0) {
      fail(failures.length < reported ? await reportOf(seed) : `seed ${seed}: ${result.faults.join("; ")}`)
    }
    if (seed % repeated > 0) continue
    runs.twice++
    if ((await run(plan)).digest !== result.digest) fail(`seed ${seed}: a second run is not the same`)
  }
  const { system, user } = process.cpuUsage(began)
  return { failures, runs, seconds: (system + user) / 1_000_000, steps }
}

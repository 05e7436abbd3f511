/**
 * Runs the plans of many seeds.
 */
import { planOf } from "./generator.ts"
import { reportOf } from "./report.ts"
import { run } from "./run.ts"

/** Of so many seeds that fail the trace is printed. */
const reported = 3

export interface Many {
  readonly failures: ReadonlyArray<string>
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
  let steps = 0
  for (let seed = first; seed < first + count; seed++) {
    const result = await run(planOf(seed))
    steps += result.steps
    if (result.faults.length === 0) continue
    const failure = failures.length < reported ? await reportOf(seed) : `seed ${seed}: ${result.faults.join("; ")}`
    failures.push(failure)
    report(failure)
  }
  const { system, user } = process.cpuUsage(began)
  return { failures, seconds: (system + user) / 1_000_000, steps }
}

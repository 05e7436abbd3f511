/**
 * What is printed of a seed that fails: the smallest plan that fails in the same way, and what happens in it.
 */
import { planOf } from "./generator.ts"
import { shrink } from "./shrink.ts"

export const reportOf = async (seed: number): Promise<string> => {
  const { plan, result } = await shrink(planOf(seed))
  const trace = result.trace.map(({ at, text }) => `${String(at).padStart(8)}  ${text}`)
  return [
    `seed ${seed}: ${result.faults.join("; ")}`,
    `the smallest plan that was found: ${JSON.stringify(plan)}`,
    ...trace
  ].join("\n")
}

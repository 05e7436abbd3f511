/**
 * Makes a plan that fails smaller: it takes away what it can, and keeps what still fails in the same way.
 */
import type { Plan } from "./plan.ts"
import { type Result, run } from "./run.ts"

/** A fault without its numbers: a smaller plan has others. */
const kindOf = (fault: string): string => fault.replaceAll(/\d+/g, "#")

const isSame = (one: Result, other: Result): boolean =>
  one.faults.some((fault) => other.faults.some((found) => kindOf(found) === kindOf(fault)))

const without = <A>(all: ReadonlyArray<A>, index: number): ReadonlyArray<A> => all.filter((_, at) => at !== index)

/** Plans that have a little less each, the largest steps first. */
function* smallerOf(plan: Plan): Generator<Plan> {
  for (const name of ["calls", "events", "authentications", "metadata"] as const) {
    if (plan[name].length > 1) yield { ...plan, [name]: [] }
    for (let index = plan[name].length - 1; index >= 0; index--) {
      yield { ...plan, [name]: without<unknown>(plan[name], index) }
    }
  }
  if (plan.limits.client !== none) yield { ...plan, limits: { ...plan.limits, client: none } }
  if (plan.limits.server !== none) yield { ...plan, limits: { ...plan.limits, server: none } }
  const { quotas, ...unbounded } = plan
  if (quotas !== undefined) yield unbounded
  if (plan.onSameIdentity !== "keep-both") yield { ...plan, onSameIdentity: "keep-both" }
  if (plan.slowness > 0) yield { ...plan, slowness: 0 }
  if (plan.budget < 2048) yield { ...plan, budget: 2048 }
  if (plan.conditions.jitter > 0) yield { ...plan, conditions: { ...plan.conditions, jitter: 0 } }
  if (plan.conditions.latency > 1) yield { ...plan, conditions: { ...plan.conditions, latency: 1 } }
}

const none = {}

/** Runs of smaller plans, at most. */
const maxRuns = 500

/** The smallest plan that was found to fail as `plan` does, and its result. */
export const shrink = async (plan: Plan): Promise<{ readonly plan: Plan; readonly result: Result }> => {
  let best = { plan, result: await run(plan) }
  let runs = 0
  const step = async (): Promise<boolean> => {
    for (const smaller of smallerOf(best.plan)) {
      if (runs++ >= maxRuns) return false
      const result = await run(smaller)
      if (!isSame(best.result, result)) continue
      best = { plan: smaller, result }
      return true
    }
    return false
  }
  while (await step());
  return best
}

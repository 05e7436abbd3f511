/**
 * How much a run does of what takes long: a part of it, or the whole with `WHOLE=1 npm test`.
 */
import type { Runner } from "../../src/testing/Runner.ts"

export const whole = process.env.WHOLE === "1"

/** What the variable says, if it is set; otherwise all of it in a whole run, and a part in others. */
export const extent = (variable: string, part: number, all: number): number =>
  Number(process.env[variable] ?? (whole ? all : part))

/** Every other case, others in each run, or all of them in a whole run. */
export const everyOther = <A>(cases: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (whole) return cases
  const first = Math.floor(Math.random() * 2)
  return cases.filter((_, index) => index % 2 === first)
}

/**
 * Shares the cases of one suite out among several ways to run it, in the order of their registration: each case runs in one
 * way, in another the next time; in a whole run in all of them. The answer registers what falls to the way of that number,
 * without the groups of the suite, which may be empty.
 */
export const sharedOut = (ways: number): (way: number, runner: Runner) => Runner => {
  const first = Math.floor(Math.random() * ways)
  return (way, { describe, it }) => {
    if (whole) return { describe, it }
    let index = first
    let isInside = false
    const isMine = () => index++ % ways === way
    return {
      describe: (name, register) => {
        if (isInside) return register()
        // Vitest registers what is within later.
        return describe(name, () => {
          isInside = true
          register()
          isInside = false
        })
      },
      it: Object.assign(
        (title: string, run: () => Promise<void>): unknown => isMine() ? it(title, run) : undefined,
        { skip: (title: string, run: () => Promise<void>): unknown => isMine() ? it.skip(title, run) : undefined }
      )
    }
  }
}

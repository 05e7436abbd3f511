/**
 * How much a run does of what takes long: a part of it, or the whole with `WHOLE=1 npm test`.
 */

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

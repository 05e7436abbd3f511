/**
 * What work costs, in time of the processor: other processes on the machine do not make it more.
 */
import { assert } from "@effect/vitest"

/** Milliseconds of the processor that `run` takes in this process. */
export const cpuMillis = (run: () => void): number => {
  const before = process.cpuUsage()
  run()
  const { system, user } = process.cpuUsage(before)
  return (system + user) / 1000
}

/** Where the clock of the processor is too coarse, and what the compiler and the collector take beside. */
const noiseMillis = 2

/**
 * Eight times the input takes no more than 24 times the processor, where quadratic work would take 64 times. The best of
 * some runs counts, as the compiler and the collector work now and then.
 *
 * `prepare` makes the work for an input of that size, which is not measured.
 */
export const assertLinear = (size: number, prepare: (size: number) => () => void): void => {
  const cost = (size: number) => Math.min(...Array.from({ length: 3 }, () => cpuMillis(prepare(size))))
  cost(size / 8)
  const small = cost(size / 8)
  // With the collector at work, a second look tells more.
  const most = 24 * Math.max(noiseMillis, small)
  let large = cost(size)
  if (large > most) large = Math.min(large, cost(size))
  assert.isAtMost(
    large,
    most,
    `milliseconds of the processor for ${size}, as an eighth of it takes ${small.toFixed(2)}`
  )
}

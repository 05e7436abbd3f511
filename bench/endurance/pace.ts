/**
 * How often something is done, on a machine that others use as well.
 */
import { performance } from "node:perf_hooks"

/** In milliseconds. */
const shortest = 50

/** Does something so many times a second, until it is stopped. A process that was kept from it makes up for a second. */
export const pace = (rate: () => number, act: (times: number) => void): () => void => {
  let last = performance.now()
  let due = 0
  // A process is not woken more often than there is something to do.
  const interval = Math.max(shortest, Math.min(1000, 500 / rate()))
  const timer = setInterval(() => {
    const now = performance.now()
    due = Math.min(Math.max(1, rate()), due + rate() * (now - last) / 1000)
    last = now
    const times = Math.floor(due)
    due -= times
    if (times > 0) act(times)
  }, interval)
  return () => clearInterval(timer)
}

/** Share of the time in which the event loop may have work, before less is asked of it. */
const busy = 0.6

/**
 * Up to so many times a second: fewer while the event loop has work most of the time, be it that others have the processor.
 * Begins with a fifth, and never asks for less than a twentieth.
 */
export const sustained = (most: number): () => number => {
  let rate = most / 5
  let since = performance.eventLoopUtilization()
  setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, since)
    since = now
    rate = utilization > busy ? Math.max(most / 20, rate * 0.8) : Math.min(most, rate * 1.05)
  }, 1000)
  return () => rate
}

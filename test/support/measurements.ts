/**
 * Measurements of time and memory, and how they are reported.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { turn } from "./waiting.ts"

/** Not every process was started with `--expose-gc`. */
const collect: () => void = globalThis.gc ?? (() => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
})()

/** Collects garbage, and what its finalizers let go of. */
export const collectGarbage: Effect.Effect<void> = Effect.gen(function*() {
  for (let round = 0; round < 4; round++) {
    collect()
    yield* turn
    yield* turn
  }
})

/** Bytes that are alive: heap and buffers, after the collection of garbage. */
export const liveBytes = (): number => {
  collect()
  // Newer versions of Node leave some of what buffers held to the next collection.
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Bytes of the heap and of what it holds outside. */
export const heapBytes = (): number => {
  const { external, heapUsed } = process.memoryUsage()
  // `external` includes `arrayBuffers`.
  return heapUsed + external
}

/** `sorted` need not be. */
export const percentile = (samples: ReadonlyArray<number>, share: number): number => {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const latencies = (samples: ReadonlyArray<number>) => ({
  calls: samples.length,
  p50: round(percentile(samples, 0.5)),
  p99: round(percentile(samples, 0.99)),
  max: round(Math.max(...samples))
})

export const round = (value: number): number => Math.round(value * 100) / 100

/** The time that an effect takes, in milliseconds. */
export const timed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, (value) => [value, performance.now() - start] as const)
  })

/** A measurement that fails is made once more: what else runs on the machine may have disturbed the first. */
export const atMostTwice = <A, E, R>(measurement: Effect.Effect<A, E, R>) =>
  Effect.catchCause(Effect.scoped(measurement), (cause) => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
    console.log(`measured once more, after\n${Cause.pretty(cause)}`)
    return Effect.scoped(measurement)
  })

/** How late timers of this process are, which should have nothing else to do: what the others on the machine cost. */
export const watchLateness = () => {
  const interval = 5
  const samples: Array<number> = []
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    samples.push(Math.max(0, now - last - interval))
    last = now
  }, interval)
  return {
    stop: () => {
      clearInterval(timer)
      return { p99: round(percentile(samples, 0.99)), longest: round(Math.max(0, ...samples)) }
    }
  }
}

/** Prints what was measured, and leaves it in the report. */
export const report = (
  context: { readonly task: { readonly name: string; readonly meta: object } },
  numbers: Readonly<Record<string, unknown>>
): void => {
  Object.assign(context.task.meta, { measured: numbers })
  console.log(`${context.task.name}\n  ${JSON.stringify(numbers)}`)
}

import { setTimeout as sleep } from "node:timers/promises"
import type { Operation } from "./peer.ts"
import type { Measured, Options, Window } from "./scenario.ts"

/**
 * A closed loop: keeps `concurrency` calls in flight, and tells how many ended within the window and in what time.
 */
export const load = async <I, A>(
  operation: Operation<I, A>,
  options: Options,
  window: Window,
  calls: { readonly input: () => I; readonly check: (input: I, answer: A) => boolean }
): Promise<Measured> => {
  let running = true
  let recording = false
  let count = 0
  let times = new Float64Array(1 << 18)

  const record = (time: number) => {
    if (count === times.length) {
      const more = new Float64Array(count * 2)
      more.set(times)
      times = more
    }
    times[count++] = time
  }

  const loop = () => {
    let input: I
    let start = 0
    return operation({
      running: () => running,
      input() {
        start = performance.now()
        return input = calls.input()
      },
      answer(answer) {
        if (recording) record(performance.now() - start)
        if (!calls.check(input, answer)) {
          throw new Error(`wrong answer to ${JSON.stringify(input)}: ${JSON.stringify(answer)}`)
        }
      }
    })
  }

  const measure = async () => {
    await sleep(options.warmup * 1000)
    await window.begin()
    recording = true
    await sleep(options.seconds * 1000)
    recording = false
    await window.end()
    running = false
  }

  await Promise.all([measure(), ...Array.from({ length: options.concurrency }, loop)])
  const sorted = times.subarray(0, count).sort()
  const percentile = (p: number) => sorted[Math.min(count - 1, Math.floor(count * p))] ?? NaN
  return { count, metrics: { "p50 ms": percentile(0.5), "p99 ms": percentile(0.99) } }
}

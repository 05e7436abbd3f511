/**
 * The two ways to keep a peer busy.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { checkItem, firstId, ids, type Item } from "./content.ts"
import type { Operation } from "./peer.ts"
import type { Measured, Options, Window } from "./scenario.ts"

export type SmallCall = Operation<number, Item>

/** Times that calls took. */
export class Times {
  #values = new Float64Array(1 << 18)
  count = 0

  add(time: number): void {
    if (this.count === this.#values.length) {
      const more = new Float64Array(this.count * 2)
      more.set(this.#values)
      this.#values = more
    }
    this.#values[this.count++] = time
  }

  get percentiles() {
    const sorted = this.#values.slice(0, this.count).sort()
    const percentile = (p: number) => sorted[Math.min(this.count - 1, Math.floor(this.count * p))] ?? NaN
    return { "p50 ms": percentile(0.5), "p99 ms": percentile(0.99) }
  }
}

let next = 0

/** Small calls, one after the other; tells `ended` how long each took. */
export const smallCalls = (operation: SmallCall, running: () => boolean, ended: (time: number) => void) => {
  let id = 0
  let start = 0
  return operation({
    running,
    input() {
      start = performance.now()
      return id = firstId + next++ % ids
    },
    answer(answer) {
      ended(performance.now() - start)
      checkItem(id, answer)
    }
  })
}

/**
 * A closed loop of small calls for each operation. Those that ended within the window count.
 */
export const load = async (
  operations: ReadonlyArray<SmallCall>,
  options: Options,
  window: Window
): Promise<Measured> => {
  let running = true
  let recording = false
  const times = new Times()
  const measure = async () => {
    await sleep(options.warmup * 1000)
    await window.begin()
    recording = true
    await sleep(options.seconds * 1000)
    recording = false
    await window.end()
    running = false
  }
  const ended = (time: number) => {
    if (recording) times.add(time)
  }
  await Promise.all([measure(), ...operations.map((operation) => smallCalls(operation, () => running, ended))])
  return { count: times.count, metrics: times.percentiles }
}

/**
 * Does the same again and again, first to warm up, until the seconds of the window are over; or so often as the variant says,
 * after a single time.
 */
export const repeat = async (
  count: number,
  run: () => Promise<void>,
  options: Options,
  window: Window
): Promise<Measured> => {
  const times = async (runs: number) => {
    for (let i = 0; i < runs; i++) await run()
    return runs
  }
  const during = async (seconds: number) => {
    const end = performance.now() + seconds * 1000
    let runs = 0
    do {
      await run()
      runs++
    } while (performance.now() < end)
    return runs
  }
  const { bodies } = options
  await (bodies === undefined ? during(options.warmup) : times(1))
  await window.begin()
  const runs = await (bodies === undefined ? during(options.seconds) : times(bodies))
  await window.end()
  return { count: runs * count }
}

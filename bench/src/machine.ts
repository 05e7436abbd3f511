import { cpus } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"

/** Seconds that all processors together had nothing to do. Work is no measure: that of interrupts is not counted there. */
const idle = () => cpus().reduce((sum, { times }) => sum + times.idle, 0) / 1000

/**
 * Starts to watch what the machine does. What it gives tells which share of the machine others than those who used so many
 * seconds of CPU time have taken since.
 */
export const watch = () => {
  const before = idle()
  const start = performance.now()
  return (own: number): number => {
    const all = cpus().length * (performance.now() - start) / 1000
    return Math.max(0, (all - (idle() - before) - own) / all)
  }
}

/** Seconds that all waiting together may take. */
let patience = 120

/** Waits until others take no more than a share of the machine, but not for ever. */
export const quiet = async (share: number): Promise<void> => {
  for (;;) {
    const others = watch()
    await sleep(200)
    if (others(0) <= share || patience <= 0) return
    await sleep(800)
    patience--
  }
}

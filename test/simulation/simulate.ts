/**
 * Runs many seeds: `npm run simulate -- 1000000`. With a second number it begins at that seed.
 */
import { runMany } from "./many.ts"

// Traces of where errors were made are nobody's here, and take a tenth of the time.
Error.stackTraceLimit = 0

const [count = "1000", first = "1"] = process.argv.slice(2)
const seeds = Number(count)
const { failures, runs, seconds, steps } = await runMany(Number(first), seeds, console.log)
const hours = seconds / seeds * 1_000_000 / 3600
console.log(
  `${seeds} seeds: ${runs.v2} of wire v2, ${runs.v1} of wire v1; ${failures.length} failed. ` +
    `${runs.twice} ran twice, to compare.\n${Math.round(seeds / seconds)} seeds a second of the processor, ` +
    `${Math.round(steps / seeds)} steps each; a million takes ${hours.toFixed(1)} hours.`
)
process.exitCode = failures.length > 0 ? 1 : 0

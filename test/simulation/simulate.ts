/**
 * Runs many seeds: `npm run simulate -- 1000000`. With a second number it begins at that seed.
 */
import { runMany } from "./many.ts"

const [count = "1000", first = "1"] = process.argv.slice(2)
const { failures, seconds, steps } = await runMany(Number(first), Number(count), console.log)
console.log(
  `${count} seeds, ${failures.length} failed; ${Math.round(Number(count) / seconds)} a second of the processor, ` +
    `${Math.round(steps / Number(count))} steps each`
)
process.exitCode = failures.length > 0 ? 1 : 0

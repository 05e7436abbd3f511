import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Scenario, Variant } from "./scenario.ts"
import { scenarios } from "./scenarios/index.ts"

const bench = fileURLToPath(new URL("..", import.meta.url))

/** A program that the build has made. */
export const bundle = (name: string): string => join(bench, "dist", `${name}.js`)

const allPeers = readdirSync(join(bench, "src/peers")).map((file) => file.replace(/\.ts$/, ""))

const { values: flags } = parseArgs({
  options: {
    "scenarios": { type: "string", default: scenarios.map(({ name }) => name).join() },
    "peers": { type: "string" },
    "variants": { type: "string", default: "" },
    "rounds": { type: "string", default: "3" },
    "seconds": { type: "string", default: "1" },
    "warmup": { type: "string", default: "2" },
    "scale": { type: "string", default: "1" },
    "others": { type: "string", default: "0.1" },
    "out": { type: "string", default: "results/latest" },
    "append": { type: "boolean", default: false },
    "untraced": { type: "boolean", default: false },
    "cpu-prof": { type: "boolean", default: false }
  }
})

const choose = <A>(flag: string, names: string, find: (name: string) => A | undefined): Array<A> =>
  names.split(",").map((name) => {
    const found = find(name)
    if (found === undefined) throw new Error(`--${flag}: there is no ${name}`)
    return found
  })

const number = (flag: "rounds" | "seconds" | "warmup" | "scale" | "others", minimum: number) => {
  const value = Number(flags[flag])
  if (!(value >= minimum)) throw new Error(`--${flag}: ${flags[flag]} is not a number from ${minimum} up`)
  return value
}

const chosenPeers = choose("peers", flags.peers ?? allPeers.join(), (name) => allPeers.find((peer) => peer === name))
const labels = flags.variants.split(",")

export const settings = {
  scenarios: choose("scenarios", flags.scenarios, (name) => scenarios.find((one) => one.name === name))
    .map((scenario) => ({
      ...scenario,
      variants: scenario.variants.filter(({ label }) => labels.some((one) => label.includes(one)))
    })),
  /** Peers that were built. */
  peersOf: (scenario: Scenario, variant: Variant) => {
    const preferred = flags.peers === undefined ? variant.peers ?? scenario.peers ?? chosenPeers : chosenPeers
    return preferred.filter((peer) => existsSync(bundle(peer)))
  },
  /** Peers that were not built. */
  missing: chosenPeers.filter((peer) => !existsSync(bundle(peer))),
  rounds: number("rounds", 0),
  seconds: number("seconds", 0.1),
  warmup: number("warmup", 0),
  scale: number("scale", 0),
  others: number("others", 0),
  out: join(bench, flags.out),
  append: flags.append,
  tracing: !flags.untraced,
  cpuProfiles: flags["cpu-prof"]
}

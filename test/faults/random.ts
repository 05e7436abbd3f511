/**
 * Random faults, from a seed.
 */
import type { Direction, Fault, Planned } from "effect-swaggersocket/testing/FaultProxy"
import { extent } from "../support/extent.ts"
import { Random } from "../support/random.ts"

export { Random }

export interface Reach {
  /** Bytes of WebSocket traffic within which a link is broken. */
  readonly bytes: number
  /** How often silence is what breaks it: only a heartbeat finds out. */
  readonly silence?: number
}

/** A position that is often within the handshake, and sometimes far behind it. */
const positionOf = (random: Random, bytes: number): number =>
  random.chance(0.3) ? Math.floor(bytes ** random.next()) : random.int(bytes)

const directions: ReadonlyArray<Direction> = ["up", "down"]

const sides = (random: Random): ReadonlyArray<Direction> => random.chance(0.5) ? directions : [random.pick(directions)]

/** What breaks a link for good. */
const fatal = (random: Random, silence: number): Fault => {
  if (random.chance(silence)) return { _tag: "halfOpen", directions: sides(random) }
  const how = random.pick(["reset", "end"] as const)
  return random.chance(0.5) ? { _tag: "cut", how } : { _tag: "truncate", how }
}

/** What a link outlives. */
const passing = (random: Random): Fault =>
  random.pick<() => Fault>([
    () => ({ _tag: "stall", millis: 1 + random.int(30), directions: sides(random) }),
    () => ({ _tag: "delay", millis: 1 + random.int(4), directions: sides(random) }),
    () => ({ _tag: "fragment", size: 1 + random.skewed(2000), pieces: 1 + random.int(300), directions: sides(random) })
  ])()

const planAt = (random: Random, bytes: number, fault: Fault): Planned => ({
  direction: random.pick(directions),
  at: positionOf(random, bytes),
  // Now and then within the upgrade itself.
  from: random.chance(0.03) ? "link" : "upgrade",
  fault
})

/** Faults of one link, one of which breaks it. */
export const faultsOf = (random: Random, { bytes, silence = 0 }: Reach): ReadonlyArray<Planned> => {
  const planned = [planAt(random, bytes, fatal(random, silence))]
  while (random.chance(0.2)) planned.push(planAt(random, bytes, passing(random)))
  return planned
}

/** Faults that a link outlives. */
export const troublesOf = (random: Random, { bytes }: Reach, count: number): ReadonlyArray<Planned> =>
  Array.from({ length: count }, () => planAt(random, bytes, passing(random)))

/** The seed of this run, unless `FAULTS_SEED` names one. */
export const seed = Number(process.env.FAULTS_SEED ?? Date.now() % 0x100000000)

/** How much this run does of what takes long: `FAULTS=2000` is all of it. */
export const faults = extent("FAULTS", 60, 2000)

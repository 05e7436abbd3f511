/**
 * Makes a plan of a seed.
 */
import type * as Limits from "effect-swaggersocket/Limits"
import { Random } from "../support/random.ts"
import type { Authentication, Body, Call, Event, Handling, Plan, Reading } from "./plan.ts"
import type { Direction } from "./way.ts"

/** A time, or a size, of any order of magnitude up to `most`. */
const scaled = (random: Random, most: number): number => Math.floor(most ** random.next())

const bodyOf = (random: Random): Body => {
  if (random.chance(0.3)) return { size: 0, piece: 1, pause: 0 }
  const size = random.chance(0.1) ? scaled(random, 400_000) : scaled(random, 20_000)
  const isWhole = random.chance(0.4)
  const piece = isWhole ? size : Math.max(Math.ceil(size / 30), scaled(random, size))
  const pause = isWhole || random.chance(0.5) ? 0 : scaled(random, 1000)
  return { size, piece, pause, ...(random.chance(0.05) ? { failsAt: random.int(size + 1) } : undefined) }
}

const readingOf = (random: Random): Reading => ({
  pause: random.chance(0.8) ? 0 : scaled(random, 2000),
  ...(random.chance(0.1) ? { stopsAt: scaled(random, 10_000) } : undefined)
})

const handlingOf = (random: Random): Handling => ({
  reading: random.chance(0.8) ? { pause: 0 } : readingOf(random),
  delay: random.chance(0.5) ? 0 : scaled(random, 40_000),
  ends: random.chance(0.85) ? "answers" : random.pick(["fails", "dies", "hangs"] as const)
})

const callOf = (random: Random, clients: number, end: number): Call => ({
  at: random.int(end),
  client: random.int(clients),
  from: random.pick(["client", "server"] as const),
  method: random.chance(0.3) ? "GET" : "POST",
  request: bodyOf(random),
  handling: handlingOf(random),
  response: bodyOf(random),
  reading: readingOf(random),
  ...(random.chance(0.1) ? { patience: scaled(random, 60_000) } : undefined)
})

const directions: ReadonlyArray<ReadonlyArray<Direction>> = [["up"], ["down"], ["up", "down"]]

const eventOf = (random: Random, clients: number, end: number): Event => {
  const at = random.int(end)
  const client = random.int(clients)
  const kind = random.int(100)
  if (kind < 40) return { _tag: "cut", at, client, tells: random.chance(0.2) ? [] : random.pick(directions) }
  if (kind < 60) {
    return { _tag: "stall", at, client, directions: random.pick(directions), millis: scaled(random, 60_000) }
  }
  if (kind < 70) return { _tag: "reconnect", at, client }
  if (kind < 80) {
    return { _tag: "block", at, how: random.pick(["refused", "silent"] as const), millis: scaled(random, 200_000) }
  }
  if (kind < 90) {
    const program = random.chance(0.5) ? "server" : client
    const how = random.pick(["leaves", "killed", "power"] as const)
    return { _tag: "restart", at, program, how, millis: scaled(random, 60_000) }
  }
  return { _tag: "close", at, client, by: random.pick(["client", "server"] as const), drain: random.chance(0.5) }
}

const authenticationOf = (random: Random): Authentication => ({
  delay: random.chance(0.6) ? 0 : scaled(random, 20_000),
  ends: random.chance(0.85) ? "accepts" : random.pick(["refuses", "dies", "hangs"] as const)
})

/** Limits as they are by default, or so low that small bodies meet them. */
const limitsOf = (random: Random): Limits.Options => {
  if (random.chance(0.5)) return {}
  return {
    maxConcurrentStreams: 1 + random.int(4),
    streamWindow: 1 + scaled(random, 20_000),
    maxStreamWindow: 20_000 + scaled(random, 200_000),
    connectionWindow: 65_535 + scaled(random, 200_000),
    sendBuffer: 1 + scaled(random, 65_536),
    replayBuffer: 32_768 + scaled(random, 100_000),
    maxMessageSize: 32_768 + scaled(random, 100_000),
    resumeWindow: random.chance(0.7) ? 120_000 : scaled(random, 200_000)
  }
}

const many = <A>(random: Random, most: number, make: () => A): ReadonlyArray<A> =>
  Array.from({ length: random.int(most + 1) }, make)

/** The plan of a seed. */
export const planOf = (seed: number): Plan => {
  const random = new Random(seed)
  const clients = random.chance(0.8) ? 1 : 2
  const end = scaled(random, 300_000)
  return {
    seed,
    wire: "v2",
    clients,
    budget: random.chance(0.5) ? 2048 : 5 + scaled(random, 200),
    slowness: random.chance(0.5) ? 0 : 0.05,
    conditions: {
      latency: scaled(random, 200),
      jitter: random.chance(0.5) ? 0 : scaled(random, 300),
      rate: 10 + scaled(random, 100_000)
    },
    limits: { client: limitsOf(random), server: limitsOf(random) },
    calls: many(random, 6, () => callOf(random, clients, end)),
    events: many(random, 4, () => eventOf(random, clients, end)),
    authentications: many(random, 4, () => authenticationOf(random)),
    end
  }
}

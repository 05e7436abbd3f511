/**
 * Makes a plan of a seed.
 */
import type * as Limits from "effect-swaggersocket/Limits"
import { Random } from "../support/random.ts"
import type { Body, Call, Effort, Event, Handling, Plan, Reading, Upgrade, UpgradeEnd } from "./plan.ts"
import type { Direction } from "./way.ts"

/** A time, or a size, of any order of magnitude up to `most`. */
const scaled = (random: Random, most: number): number => Math.floor(most ** random.next())

const bodyOf = (random: Random, most: number): Body => {
  if (random.chance(0.3)) return { size: 0, piece: 1, pause: 0 }
  const size = random.chance(0.1) ? scaled(random, most) : scaled(random, Math.min(most, 20_000))
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
  ends: random.chance(0.85) ? "answers" : random.pick(["fails", "dies", "hangs"] as const),
  isInterruptible: random.chance(0.8)
})

const upgradeOf = (random: Random): Upgrade => {
  const answering = random.pick(["caller", "handler", undefined, undefined])
  const endOf = (name: "caller" | "handler"): UpgradeEnd => ({
    answers: name === answering,
    leaves: random.chance(0.15),
    breaks: random.pick(["fails", "dies", "closes"])
  })
  const protocol = random.chance(0.6) ? "bytes" : "websocket"
  return { protocol, caller: endOf("caller"), handler: endOf("handler") }
}

/** How many of the calls ask for an upgrade. Wire v1 has none. */
const upgrades = { v1: 0.03, v2: 0.25 }

/** The largest bodies, and, in one plan of two hundred, such that their bytes have to be bounded. */
const largeBody = 400_000
const hugeBody = 900_000

/** What most requests of wire v1 have at most, to a server and to a client. Some are larger, and are not sent. */
const v1Request = { client: 800, server: 3800 }

interface Shape {
  readonly wire: "v1" | "v2"
  readonly clients: number
  readonly end: number
  readonly isHuge: boolean
}

const callOf = (random: Random, { clients, end, isHuge, wire }: Shape): Call => {
  const from = random.pick(["client", "server"] as const)
  const most = isHuge ? hugeBody : largeBody
  const whole = { size: hugeBody - random.int(largeBody), piece: hugeBody, pause: 0 }
  const upgrade = random.chance(upgrades[wire]) ? upgradeOf(random) : undefined
  return {
    at: random.int(end),
    client: random.int(clients),
    from,
    ...(wire === "v2" && from === "client" && random.chance(0.2) ? { to: random.int(clients) } : undefined),
    method: random.chance(0.3) || upgrade?.protocol === "websocket" ? "GET" : "POST",
    request: bodyOf(random, wire === "v2" || random.chance(0.1) ? most : v1Request[from]),
    handling: handlingOf(random),
    response: isHuge ? whole : bodyOf(random, most),
    reading: readingOf(random),
    ...(upgrade && { upgrade }),
    ...(random.chance(0.1) ? { patience: scaled(random, 60_000) } : undefined)
  }
}

const directions: ReadonlyArray<ReadonlyArray<Direction>> = [["up"], ["down"], ["up", "down"]]

const eventOf = (random: Random, { clients, end }: Shape): Event => {
  const at = random.int(end)
  const client = random.int(clients)
  const program = random.chance(0.5) ? "server" : client
  const kind = random.int(100)
  if (kind < 35) return { _tag: "cut", at, client, tells: random.chance(0.2) ? [] : random.pick(directions) }
  if (kind < 50) {
    return { _tag: "stall", at, client, directions: random.pick(directions), millis: scaled(random, 60_000) }
  }
  if (kind < 58) return { _tag: "reconnect", at, client }
  if (kind < 66) {
    return { _tag: "block", at, how: random.pick(["refused", "silent"] as const), millis: scaled(random, 200_000) }
  }
  if (kind < 74) {
    const how = random.pick(["leaves", "killed", "power"] as const)
    return { _tag: "restart", at, program, how, millis: scaled(random, 60_000) }
  }
  if (kind < 82) {
    return { _tag: "close", at, client, by: random.pick(["client", "server"] as const), drain: random.chance(0.5) }
  }
  const millis = scaled(random, 60_000)
  if (kind < 90) return { _tag: "freeze", at, program, millis }
  if (kind < 95) return { _tag: "double", at, client, how: random.pick(["leaves", "power"] as const), millis }
  return { _tag: "repeat", at, client, millis }
}

const effortOf = (random: Random): Effort => ({
  delay: random.chance(0.6) ? 0 : scaled(random, 20_000),
  ends: random.chance(0.85) ? "succeeds" : random.pick(["fails", "dies", "hangs"] as const)
})

/** Limits as they are by default, or so low that small bodies meet them. */
const limitsOf = (random: Random, isHuge: boolean): Limits.Options => {
  if (isHuge) return { maxUnsentBytes: 1_000_000 + random.int(1_000_000) }
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

/** Whether an end knows upgrades. */
const settingOf = (random: Random): Limits.Options => random.chance(0.05) ? { upgrade: 0 } : {}

/** What was sent is kept until its receiver acknowledges it, which it need not do before a quarter of a MiB of each direction. */
const keptAtRest = 600_000

const quotasOf = (random: Random): NonNullable<Plan["quotas"]> => ({
  interruptedBytes: 16_384 + scaled(random, 200_000),
  memory: keptAtRest + scaled(random, 1_000_000)
})

const many = <A>(random: Random, most: number, make: () => A): ReadonlyArray<A> =>
  Array.from({ length: random.int(most + 1) }, make)

/** The plan of a seed. */
export const planOf = (seed: number): Plan => {
  const random = new Random(seed)
  const shape: Shape = {
    wire: random.chance(0.25) ? "v1" : "v2",
    clients: random.chance(0.8) ? 1 : 2,
    end: scaled(random, 300_000),
    isHuge: random.chance(0.005)
  }
  const { clients, end, isHuge, wire } = shape
  return {
    seed,
    wire,
    clients,
    budget: random.chance(0.5) ? 2048 : 5 + scaled(random, 200),
    slowness: random.chance(0.5) ? 0 : 0.05,
    conditions: {
      latency: scaled(random, 200),
      jitter: random.chance(0.5) ? 0 : scaled(random, 300),
      rate: 10 + scaled(random, 100_000)
    },
    limits: {
      client: { ...limitsOf(random, isHuge), ...settingOf(random) },
      server: { ...limitsOf(random, isHuge), ...settingOf(random) }
    },
    ...(random.chance(isHuge ? 0.5 : 0.1) ? { quotas: quotasOf(random) } : undefined),
    onSameIdentity: random.chance(0.5) ? "keep-both" : random.pick(["replace-older", "refuse-newer"] as const),
    calls: many(random, isHuge ? 10 : 6, () => callOf(random, shape)),
    events: many(random, 4, () => eventOf(random, shape)),
    authentications: many(random, 4, () => effortOf(random)),
    metadata: random.chance(0.5) ? [] : many(random, 4, () => effortOf(random)),
    end
  }
}

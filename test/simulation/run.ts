/**
 * Runs a plan, and says what was wrong.
 */
import * as Effect from "effect/Effect"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { callFaults, endFaultsOf, rejectionFaults, restFaults, upgradeFaults } from "./invariants.ts"
import type { CallLog, Entry } from "./log.ts"
import { type Call, mayUpgrade, type Plan } from "./plan.ts"
import { retransmission } from "./way.ts"
import { World } from "./world.ts"

export interface Result {
  /** The first fault that was found, and those found with it. */
  readonly faults: ReadonlyArray<string>
  readonly trace: ReadonlyArray<Entry>
  /** Of all bytes on all links, and of the trace, with their times. */
  readonly digest: number
  readonly steps: number
  /** Milliseconds of the simulated time. */
  readonly millis: number
}

/** How long everything may take to end once nothing goes wrong any more, in milliseconds. */
const patience = 10 * 60_000

/**
 * After so long both ends have noticed which links were lost without telling, in milliseconds. Of wire v1 the operating system
 * has to tell it where the peer has never answered a ping: an end of the wire can't take silence for a loss then.
 */
const noticing = { v1: retransmission + 100_000, v2: 60_000 }

const small = { size: 100, piece: 100, pause: 0 }

/** A call that nothing is in the way of. */
const probe = (client: number, from: "client" | "server"): Call => ({
  at: 0,
  client,
  from,
  method: "POST",
  request: small,
  handling: { reading: { pause: 0 }, delay: 0, ends: "answers", isInterruptible: true },
  response: small,
  reading: { pause: 0 }
})

/** An end of an upgrade that sends and reads everything. */
const orderly = { answers: false, leaves: false, breaks: "fails" } as const

/** What is tried of each end in the end. */
const probesOf = (plan: Plan): ReadonlyArray<Call> => {
  const calls = Array.from({ length: plan.clients }, (_, client) => [probe(client, "client"), probe(client, "server")])
    .flat()
  // They cost time, and are the same everywhere.
  if (!mayUpgrade(plan) || plan.calls.every(({ upgrade }) => upgrade === undefined)) return calls
  return [...calls, { ...calls[plan.seed % 2]!, upgrade: { protocol: "bytes", caller: orderly, handler: orderly } }]
}

/** Both ends of a call have all bytes of the other one. */
const isWhole = ({ endings, executions }: CallLog): boolean =>
  endings[0]?.response.isWhole === true && executions[0]?.request.isWhole === true

const statusOf = (world: World, client: number): string => {
  const program = world.clients[client]
  if (program?.client === undefined) return "no client"
  const status = Effect.runSync(program.client.status)
  if (status._tag !== "Connected") return "error" in status ? `${status._tag}: ${status.error?.message}` : status._tag
  return (status.connection as ConnectionDriver<unknown, unknown>).now
}

const allConnected = (world: World): boolean => {
  if (world.server?.acceptor === undefined) return false
  return Array.from({ length: world.plan.clients }, (_, client) => statusOf(world, client)).every((status) =>
    status === "open"
  )
}

/**
 * Both ends of each link that was lost know of it, programs that leave have left, and the server has let all clients in. Calls
 * that were given up have ended: their handlers may count as calls in progress, and on wire v1 the next call waits for answer.
 */
const isNoticed = (world: World): boolean => {
  const { log, network: { live }, plan: { clients }, server } = world
  const connections = server!.acceptor!.connections()
  return live.length === clients && live.every(({ isLost }) => !isLost) && connections.length >= clients &&
    connections.every(({ mux: { active } }) => active.local + active.remote + active.waiting === 0) &&
    world.programs.every((program) =>
      program.isGone || program === server || world.clients.includes(program as never)
    ) &&
    log.calls.every(({ executions }) => executions.every(({ end, program }) => end !== undefined || !program.isAlive))
}

/** Each step of a run answers what is wrong; a run ends with the first step that answers anything. */
async function* stepsOf(
  world: World,
  probes: ReadonlyArray<number>
): AsyncGenerator<ReadonlyArray<string>> {
  const { calls, log, loop, plan } = world
  world.begin()
  calls.slice(0, probes[0]).forEach((_, id) => world.schedule(id))
  await loop.runUntil(() => loop.now >= plan.end, plan.end)
  yield log.faults
  world.heal()
  const isSettled = (id: number) => {
    const { caller, endings } = log.calls[id]!
    return caller === undefined || !caller.isAlive || endings.length > 0
  }
  const end = loop.now + patience
  const isCalm = () => calls.every((_, id) => isSettled(id)) && allConnected(world)
  if (!(await loop.runUntil(isCalm, end))) {
    const open = calls.flatMap((_, id) => isSettled(id) ? [] : [`call ${id} does not end`])
    const closed = world.clients.map((_, client) => `client ${client}: ${statusOf(world, client)}`)
    yield [...open, ...(allConnected(world) ? [] : closed)]
  }
  await loop.runUntil(() => isNoticed(world), loop.now + noticing[plan.wire])
  await loop.runUntil(() => allConnected(world), loop.now + patience)
  // Requests of wire v1 that are read just after a long handshake may have waited, and are too old for an answer.
  await loop.runUntil(() => false, loop.now + 200)
  for (const id of probes) world.schedule(id)
  const isOver = (id: number) => {
    const { endings, executions } = log.calls[id]!
    return endings.length > 0 && executions.every(({ end }) => end !== undefined)
  }
  await loop.runUntil(() => probes.every(isOver), loop.now + patience)
  yield probes.flatMap((id) => isWhole(log.calls[id]!) ? [] : [`call ${id} fails, and nothing is in its way`])
  // Connections whose client never comes back are kept for as long as resumeWindow says.
  await loop.runUntil(() => restFaults(world).length === 0, loop.now + 300_000)
  await loop.runUntil(() => false, loop.now + 10_000)
  yield [...restFaults(world), ...rejectionFaults(log)]
  yield calls.flatMap((call, id) => callFaults(call, log.calls[id]!, plan).map((fault) => `call ${id} ${fault}`))
  yield upgradeFaults(world)
  world.rest()
  for (const client of world.clients) client!.leave()
  await loop.runUntil(() => world.clients.every((client) => client!.hasLeft), loop.now + patience)
  yield world.clients.flatMap((client) => client!.hasLeft ? [] : [`client ${client!.number} does not leave`])
  world.server!.leave()
  await loop.runUntil(() => world.server!.hasLeft, loop.now + patience)
  yield world.server!.hasLeft ? [] : ["the server does not leave"]
  await loop.runUntil(() => false, loop.now + patience)
  yield endFaultsOf(world)
  yield log.faults
}

export const run = async (plan: Plan): Promise<Result> => {
  const probes = probesOf(plan)
  const world = new World(plan, [...plan.calls, ...probes])
  const { log, loop } = world
  const found = async () => {
    for await (const faults of stepsOf(world, probes.map((_, index) => plan.calls.length + index))) {
      if (faults.length > 0) return faults
    }
    return []
  }
  const faults = await loop.within(found, () => world.end()).catch((error: unknown) => [String(error)])
  return { faults, trace: log.entries, digest: log.digest.value >>> 0, steps: loop.steps, millis: loop.now }
}

/**
 * Runs in a browser: measures each way in turn, round by round, and reports.
 */
import { firstId, item, type Measured, MiB, type Report } from "./content.ts"
import { type Client, ways } from "./ways.ts"

const given = new URL(location.href).searchParams
const number = (name: string): number => Number(given.get(name))
const [rounds, seconds, size] = [number("rounds"), number("seconds"), number("mib") * MiB]
const [hub, raw] = [given.get("hub")!, given.get("raw")!]

let nextId = firstId

/** Calls a second with so many in flight. */
const callsPerSecond = async ({ call }: Client, inFlight: number, seconds: number): Promise<number> => {
  const since = performance.now()
  const until = since + seconds * 1000
  let count = 0
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const id = nextId++
      const answer = await call(id)
      if (answer.id !== id || answer.name !== item(id).name) throw new Error(`wrong answer to ${id}`)
      count++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  return count / (performance.now() - since) * 1000
}

const perSecond = async (transfer: () => Promise<number>): Promise<number> => {
  const since = performance.now()
  const length = await transfer()
  if (length !== size) throw new Error(`${length} bytes instead of ${size}`)
  return size / MiB / (performance.now() - since) * 1000
}

const body = new Uint8Array(size).fill(7)

const measure = async (round: number, way: string): Promise<Measured> => {
  const client = await ways[way]!(hub, raw)
  await callsPerSecond(client, 1, seconds / 4)
  const one = await callsPerSecond(client, 1, seconds)
  await callsPerSecond(client, 64, seconds / 4)
  const many = await callsPerSecond(client, 64, seconds)
  const up = () => perSecond(() => client.up(body))
  const down = () => perSecond(() => client.down(size))
  await up()
  const upPerSecond = await up()
  await down()
  const downPerSecond = await down()
  await client.close()
  return { round, way, one, many, up: upPerSecond, down: downPerSecond }
}

const run = async (): Promise<Report> => {
  const measured: Array<Measured> = []
  const names = Object.keys(ways)
  for (let round = 0; round < rounds; round++) {
    // Another one goes first in each round.
    for (let at = 0; at < names.length; at++) {
      measured.push(await measure(round, names[(at + round) % names.length]!))
    }
  }
  return { agent: navigator.userAgent, measured }
}

const report = await run().catch((error): Report => ({
  agent: navigator.userAgent,
  measured: [],
  error: String(error.stack ?? error)
}))
await fetch("/report", { method: "POST", body: JSON.stringify(report) })

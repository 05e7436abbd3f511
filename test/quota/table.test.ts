/**
 * docs/quotas.md: each quota and each limit of a connection has the default that is written there, an answer, and is told in the
 * metric and as an event when it is exceeded. `test/hostile/limits.test.ts` exceeds the limits.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Limits from "effect-swaggersocket/Limits"
import * as Quotas from "effect-swaggersocket/Quotas"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Entries } from "../../src/internal/idempotency/entries.ts"
import { HeldThings } from "../../src/internal/quota/held.ts"
import type { HolderKind } from "../../src/internal/quota/holder.ts"
import type { LimitName } from "../../src/internal/quota/limits.ts"
import { type Counted, MemoryBudget } from "../../src/internal/quota/memoryBudget.ts"
import type { Party } from "../../src/internal/quota/party.ts"
import { CountedCalls } from "../../src/internal/server/countedCalls.ts"
import { type Interrupted, InterruptedSessions } from "../../src/internal/server/interruptedSessions.ts"
import { Overload } from "../../src/internal/server/overload.ts"
import { PendingHandshakes } from "../../src/internal/server/pendingHandshakes.ts"
import { exceededCount } from "../support/flood.ts"
import { limitFloods } from "../support/limitFloods.ts"
import { Parties } from "./parties.ts"

const text = Fs.readFileSync(Path.join(import.meta.dirname, "../../docs/quotas.md"), "utf8")

/** The rows of the table in a section, without its head. */
const rowsOf = (section: string): ReadonlyArray<ReadonlyArray<string>> =>
  text.split(/^## /m).find((part) => part.startsWith(`${section}\n`))!.split("\n")
    .filter((line) => line.startsWith("|")).slice(2)
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))

const namesIn = (cell: string): ReadonlyArray<string> => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name!)

const units: Readonly<Record<string, number>> = { "": 1, MiB: 2 ** 20, GiB: 2 ** 30, s: 1000 }

/** `200, 2,000`: two numbers, with a comma and a space between. */
const valuesIn = (cell: string): ReadonlyArray<number> =>
  cell === ""
    ? []
    : cell.startsWith("off")
    ? [Infinity]
    : cell.split(", ").map((shown) => {
      const [, number = "", unit = ""] = /^([\d,]+) ?(\w*)$/.exec(shown) ?? []
      return Number(number.replaceAll(",", "")) * (units[unit] ?? NaN)
    })

const parts = ["perAddress", "perPrincipal", "server", "process"] as const
const holders = ["address", "principal", "server", "process"] as const satisfies ReadonlyArray<HolderKind>

const quotas = rowsOf("The quotas")
const limits = rowsOf("The limits of a connection")

/** What a quota is exceeded with. `most` is its value. */
interface World {
  readonly parties: Parties
  readonly party: Party
  readonly most: number
}

const times = (count: number, run: () => void): void => {
  for (let n = 0; n < count; n++) run()
}

const connection = (bytes: number) => ({
  session: { bytes },
  mux: { unreadBytes: 0, unsentBytes: 0 },
  overload() {}
})

const calls = ({ party, parties }: World, lateness?: ConstructorParameters<typeof Overload>[1]) =>
  new CountedCalls(party, new Overload(parties.of({}).holders[0]!, lateness), "id")

const interrupt = ({ most, party }: World, bytes: number) => {
  const timers: Array<() => void> = []
  const sessions = new InterruptedSessions<unknown, unknown>(
    () => party,
    (_millis, run) => timers.push(run),
    (step) => step()
  )
  times(most + 1, () => {
    const { mux, session } = connection(bytes)
    sessions.add({ driver: { mux }, session, giveUp() {} } as unknown as Interrupted<unknown, unknown>)
  })
  for (const run of timers.splice(0)) run()
}

const hold = (resource: "connections" | "streamingWebSockets") => ({ most, parties, party }: World) => {
  const held = new HeldThings(resource, parties.process)
  times(most + 1, () => {
    if (held.refusal(party) === undefined) held.add({ overload() {} }, party)
  })
}

const keep = ({ parties, party }: World) =>
  new Entries(party.holders.find(({ kind }) => kind === "server")!, parties.process, {
    maxUnattended: 1,
    timeToLive: 1000
  })

/** Exceeds a quota, whoever's it is. */
const exceed: Readonly<Record<string, (world: World) => void>> = {
  connections: hold("connections"),
  streamingWebSockets: hold("streamingWebSockets"),
  pendingHandshakes: ({ most, party }) => {
    const pending = new PendingHandshakes()
    times(most + 1, () => {
      if (party.refusal("pendingHandshakes") === undefined) pending.begin(party)
    })
  },
  handshakesPerSecond: ({ most, party }) => times(most * 10 + 1, () => party.take("handshakesPerSecond")),
  interruptedSessions: (world) => interrupt(world, 0),
  interruptedBytes: (world) => interrupt(world, world.most),
  memory: ({ most, parties, party }) => {
    let tick = () => {}
    const budget = new MemoryBudget(
      parties.of({}).holders[0]!,
      parties.process,
      (_millis, run) => {
        tick = run
      },
      (step) => step()
    )
    budget.add(connection(most + 1) as unknown as Counted, party, 0)
    tick()
  },
  calls: (world) => {
    const counted = calls(world)
    times(world.most + 1, () => counted.begin())
  },
  callsPerSecond: (world) => {
    const counted = calls(world)
    times(world.most * 10 + 1, () => counted.begin())
  },
  callDelay: (world) => {
    const late = { isBehindSince: () => 0, waitedFor: () => 10_000, now: () => 2000 }
    const counted = calls(world, late)
    const other = world.parties.of({ address: "10.0.0.9" })
    const overload = new Overload(world.parties.of({}).holders[0]!, late)
    for (const party of [world.party, other, world.party]) new CountedCalls(party, overload, "id").begin()
    counted.begin()
  },
  idempotencyKeys: (world) => {
    const entries = keep(world)
    for (const id of ["a", "b", "c"]) {
      entries.add(id, world.party)
      entries.end(id, { print: { head: "" }, done: true }, 0)
    }
  },
  idempotencyBytes: (world) => {
    const entries = keep(world)
    for (const id of ["a", "b"]) {
      entries.add(id, world.party)
      const answer = { status: 200, headers: {}, cookies: [], body: new Uint8Array(world.most) }
      entries.end(id, { print: { head: "" }, done: true, answer }, 0)
    }
  }
}

describe("docs/quotas.md", () => {
  it("each quota of each holder has its row, with its default", () => {
    for (const [index, part] of parts.entries()) {
      const documented: Record<string, number> = {}
      for (const row of quotas) {
        const values = valuesIn(row[index + 1]!)
        const names = namesIn(row[0]!).filter((name) => parts.some((part) => name in Quotas.defaults[part]))
        assert.isAtLeast(names.length, 1, row[0])
        for (const [at, name] of names.entries()) {
          const value = values[at] ?? values[0]
          if (value !== undefined && name in Quotas.defaults[part]) documented[name] = value
          // Of what there is no such quota the cell is empty, or says why.
          else assert.isTrue(value === undefined || value === Infinity, `${part} ${name}`)
        }
      }
      assert.deepStrictEqual(documented, { ...Quotas.defaults[part] } as never, part)
    }
  })

  it("each quota has an answer, and what a client does", () => {
    const answered = rowsOf("What is answered")
    for (const row of quotas) {
      const [name] = namesIn(row[0]!)
      const rows = answered.filter(([exceeded]) => exceeded!.includes(`\`${name}\``))
      assert.isAtLeast(rows.length, 1, name)
      for (const cells of rows) for (const cell of cells) assert.isAbove(cell.length, 3, name)
    }
  })

  for (const [index, part] of parts.entries()) {
    const holder = holders[index]!
    const names = quotas.map(([names]) => namesIn(names!)[0]!).filter((name) => name in Quotas.defaults[part])
    for (const name of names) {
      it(`${name} of ${holder === "address" ? "an address" : `a ${holder}`} is told in the metric and as an event when it is exceeded`, () => {
        const most = name === "interruptedBytes" ? 40_000 : name === "memory" ? 100 : 2
        const registry: Metric.MetricRegistry = new Map()
        const parties = new Parties(
          { [part]: { [name]: most } },
          {},
          Quotas.make({ process: {} }),
          Context.make(Metric.MetricRegistry, registry)
        )
        const client = holder === "address" ? { address: "10.0.0.1" } : { address: "10.0.0.1", principal: "ada" }
        exceed[name]!({ parties, party: parties.of(client), most: name === "interruptedBytes" ? 3 : most })
        const [event] = parties.events
        assert.deepStrictEqual([event?.quota, event?.holder], [name, holder])
        const counted = Effect.provideService(exceededCount(name, holder), Metric.MetricRegistry, registry)
        assert.isAtLeast(Effect.runSync(counted), 1)
      })
    }
  }

  it("each limit has its default, an answer, a metric and an event, and each that is told of is exceeded by a test", () => {
    const fixed: Readonly<Record<string, ReadonlyArray<number>>> = {
      emptyDataPerSecond: [200, 1000],
      goAwaysPerSecond: [10, 100]
    }
    const told: Array<string> = []
    for (const [limit, defaults, answer, metric, event] of limits) {
      const names = namesIn(limit!)
      const values = valuesIn(defaults!)
      const expected = fixed[names[0]!] ?? names.map((name) => {
        const value: unknown = Limits.defaults[name as keyof Limits.Limits]
        return Duration.isDuration(value) ? Duration.toMillis(value) : value
      })
      assert.deepStrictEqual(values, expected as ReadonlyArray<number>, limit)
      assert.isAbove(answer!.length, 5)
      assert.match(metric!, /^`swaggersocket_\w+`$/)
      assert.match(event!, /^`\w+`$/)
      if (metric === "`swaggersocket_quota_exceeded`") told.push(names[0]!)
    }
    assert.deepStrictEqual(told.sort(), (Object.keys(limitFloods) as Array<LimitName>).sort())
  })
})

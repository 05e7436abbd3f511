/**
 * Bytes that all connections of a server hold together, and who gives way when they are too many.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Quotas from "effect-swaggersocket/Quotas"
import { type Counted, MemoryBudget } from "../../src/internal/quota/memoryBudget.ts"
import { Parties } from "../quota/parties.ts"

const MiB = 1024 * 1024

interface Given {
  readonly user?: string
  readonly address?: string
  kept?: number
  unread?: number
  unsent?: number
  partial?: number
  /** What waits in the socket; then there is no session. */
  buffered?: number
  readonly metadata?: number
}

class World {
  readonly ended: Array<string> = []
  readonly parties: Parties
  readonly budget: MemoryBudget
  #second: (() => void) | undefined = undefined
  /** Ends of connections that wait for their turn. Absent: they have it. */
  steps: Array<() => void> | undefined = undefined

  constructor(quotas: Quotas.Options, base?: Quotas.Quotas) {
    this.parties = new Parties(quotas, {}, base)
    const [server] = this.parties.of({}).holders
    this.budget = new MemoryBudget(server!, this.parties.process, (_millis, run) => {
      assert.isUndefined(this.#second, "one count at a time")
      this.#second = run
    }, (step) => this.steps === undefined ? step() : void this.steps.push(step))
  }

  get isWatched(): boolean {
    return this.#second !== undefined
  }

  /** A second passes. */
  tick(): void {
    const run = this.#second
    this.#second = undefined
    run?.()
  }

  add(name: string, given: Given): Counted {
    const connection = {
      session: given.buffered === undefined ?
        {
          get bytes() {
            return given.kept ?? 0
          }
        } :
        undefined,
      link: {
        get partialBytes() {
          return given.partial ?? 0
        },
        webSocket: {
          get bufferedAmount() {
            return given.buffered ?? 0
          }
        }
      },
      mux: {
        get unreadBytes() {
          return given.unread ?? 0
        },
        get unsentBytes() {
          return given.unsent ?? 0
        }
      },
      overload: () => this.ended.push(name)
    } as unknown as Counted
    this.budget.add(connection, this.parties.of({ address: given.address, principal: given.user }), given.metadata ?? 0)
    return connection
  }
}

describe("memory of a server", () => {
  it("messages to be sent again, unread bodies and unsent bodies count, and whoever holds the most gives way", () => {
    const world = new World({ server: { memory: 10 * MiB } })
    for (let n = 0; n < 4; n++) {
      world.add(`honest ${n}`, { user: `user ${n}`, kept: MiB / 2, unread: MiB / 2, unsent: MiB })
    }
    const greedy: Given = { user: "greedy", unread: MiB }
    world.add("greedy", greedy)
    world.tick()
    assert.deepStrictEqual(world.ended, [])
    greedy.unread = 3 * MiB
    world.tick()
    assert.deepStrictEqual(world.ended, ["greedy"])
    assert.deepStrictEqual(world.parties.events.map(({ holder, quota }) => `${quota} ${holder}`), ["memory server"])
    world.tick()
    assert.deepStrictEqual(world.ended, ["greedy"])
  })

  it("metadata, messages that have not arrived whole, and what waits in the socket where there is no session", () => {
    const world = new World({ server: { memory: 10 * MiB } })
    const partial: Given = { user: "eve", partial: MiB }
    const buffered: Given = { user: "mallory", buffered: MiB }
    world.add("partial", partial)
    world.add("buffered", buffered)
    world.add("metadata", { user: "ada", metadata: 6 * MiB })
    world.tick()
    assert.deepStrictEqual(world.ended, [])
    partial.partial = 4 * MiB
    world.tick()
    assert.deepStrictEqual(world.ended, ["metadata"])
    buffered.buffered = 7 * MiB
    world.tick()
    assert.deepStrictEqual(world.ended, ["metadata", "buffered"])
  })

  it("many small connections of one principal give way before a large one of another", () => {
    const world = new World({ server: { memory: 100 * MiB } })
    world.add("large", { user: "ada", unsent: 40 * MiB })
    for (let n = 0; n < 1000; n++) world.add("small", { user: "eve", address: String(n), unsent: MiB / 10 })
    world.tick()
    assert.notInclude(world.ended, "large")
    assert.strictEqual(world.ended.length, 400)
  })

  it("of many that have to give way each ends when it is its turn, and counts no more before", () => {
    const world = new World({ server: { memory: 100 * MiB } })
    for (let n = 0; n < 300; n++) world.add(`${n}`, { user: `${n}`, unsent: MiB })
    world.steps = []
    world.tick()
    assert.deepStrictEqual(world.ended, [])
    assert.lengthOf(world.steps, 200)
    world.tick()
    assert.lengthOf(world.steps, 200)
    for (const step of world.steps) step()
    assert.lengthOf(new Set(world.ended), 200)
  })

  it("where there are no principals, addresses give way; where there is nothing, the largest connection", () => {
    const byAddress = new World({ server: { memory: 10 * MiB } })
    byAddress.add("large", { address: "10.0.0.1", kept: 5 * MiB })
    for (let n = 0; n < 6; n++) byAddress.add(`small ${n}`, { address: "6.6.6.6", kept: MiB })
    byAddress.tick()
    assert.deepStrictEqual(byAddress.ended, ["small 0"])
    const byNothing = new World({ server: { memory: 10 * MiB } })
    byNothing.add("large", { kept: 5 * MiB })
    for (let n = 0; n < 6; n++) byNothing.add(`small ${n}`, { kept: MiB })
    byNothing.tick()
    assert.deepStrictEqual(byNothing.ended, ["large"])
  })

  it("what is written counts at once; a connection that has ended counts for nothing, and the watch ends with the last", () => {
    const world = new World({ server: { memory: 10 * MiB } })
    const writing: Given = { user: "eve" }
    const connection = world.add("writing", writing)
    const other = world.add("other", { user: "ada", kept: 6 * MiB })
    world.tick()
    writing.unsent = 5 * MiB
    world.budget.forget(other)
    world.budget.grown(connection)
    assert.deepStrictEqual(world.ended, [])
    writing.unsent = 11 * MiB
    world.budget.grown(connection)
    assert.deepStrictEqual(world.ended, ["writing"])
    world.tick()
    assert.isFalse(world.isWatched)
    world.budget.forget(connection)
  })

  it("what others hold is counted anew before a connection is ended", () => {
    const world = new World({ server: { memory: 10 * MiB } })
    const other: Given = { user: "ada", kept: 8 * MiB }
    const writing: Given = { user: "eve" }
    world.add("other", other)
    const connection = world.add("writing", writing)
    world.tick()
    other.kept = MiB
    writing.unsent = 5 * MiB
    world.budget.grown(connection)
    assert.deepStrictEqual(world.ended, [])
  })

  it("many connections are counted in portions, and all of them", () => {
    const world = new World({ server: { memory: 10 * MiB } })
    for (let n = 0; n < 10_000; n++) world.add("idle", { user: String(n) })
    world.add("last", { user: "eve", kept: 11 * MiB })
    world.tick()
    world.tick()
    assert.deepStrictEqual(world.ended, [])
    world.tick()
    assert.deepStrictEqual(world.ended, ["last"])
    assert.isTrue(world.isWatched)
  })
})

describe("memory of a process", () => {
  const base = () => Quotas.make({ process: { memory: 10 * MiB } })

  it("servers that share a total: whoever holds the most on any of them gives way, and the server is told", () => {
    const quotas = base()
    const one = new World({}, quotas)
    const other = new World({}, quotas)
    one.add("honest", { user: "ada", kept: 3 * MiB })
    one.add("small", { user: "bob", kept: MiB })
    const greedy: Given = { user: "eve", unread: 5 * MiB }
    other.add("greedy", greedy)
    one.tick()
    other.tick()
    assert.deepStrictEqual([...one.ended, ...other.ended], [])
    greedy.unread = 7 * MiB
    other.tick()
    one.tick()
    assert.deepStrictEqual([one.ended, other.ended], [[], ["greedy"]])
    assert.deepStrictEqual(other.parties.events.map(({ holder, quota }) => `${quota} ${holder}`), ["memory process"])
  })

  it("a server that finds too much ends connections of another one, and what has ended counts no more", () => {
    const quotas = base()
    const one = new World({}, quotas)
    const other = new World({}, quotas)
    const large = other.add("large", { user: "eve", kept: 6 * MiB })
    other.add("next", { user: "mallory", kept: 3 * MiB })
    other.tick()
    one.add("small", { user: "ada", kept: 2 * MiB })
    one.tick()
    assert.deepStrictEqual([one.ended, other.ended], [[], ["large"]])
    other.budget.forget(large)
    one.add("more", { user: "bob", kept: 5 * MiB })
    one.tick()
    assert.deepStrictEqual([one.ended, other.ended], [[], ["large"]])
  })

  it("servers with totals of their own do not count together", () => {
    const [one, other] = [new World({}, base()), new World({}, base())]
    one.add("one", { user: "ada", kept: 9 * MiB })
    other.add("other", { user: "eve", kept: 9 * MiB })
    one.tick()
    other.tick()
    assert.deepStrictEqual([one.ended, other.ended], [[], []])
  })
})

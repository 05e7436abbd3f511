/**
 * Connections that wait for a link: how much they may hold together, and who makes room.
 */
import { assert, describe, it } from "@effect/vitest"
import type * as Quotas from "effect-swaggersocket/Quotas"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { type Interrupted, InterruptedSessions } from "../../src/internal/server/interruptedSessions.ts"
import type { Session } from "../../src/internal/session/session.ts"
import { Parties } from "../quota/parties.ts"

const KiB = 1024
const MiB = 1024 * KiB

type Principal = { readonly user: string } | undefined

interface Given {
  readonly user?: string
  readonly address?: string
  /** Bytes that may have to be sent again, that were not read, and that were not sent. */
  readonly kept?: number
  readonly unread?: number
  unsent?: number
}

class World {
  readonly lost: Array<string> = []
  readonly sessions: InterruptedSessions<Principal, Principal>
  readonly #parties: Parties
  readonly #clients = new Map<unknown, { readonly address: string | undefined; readonly principal: Principal }>()
  #second: (() => void) | undefined = undefined
  #patience: (() => void) | undefined = undefined
  /** What waits for its turn, while there is none. */
  #steps: Array<() => void> | undefined = undefined

  constructor(quotas: Quotas.Options) {
    this.#parties = new Parties(quotas)
    this.sessions = new InterruptedSessions(
      (driver) => this.#parties.of(this.#clients.get(driver)!),
      (millis, run) => {
        if (millis < 1000) {
          assert.isUndefined(this.#patience, "one search at a time")
          this.#patience = run
        } else {
          assert.isUndefined(this.#second, "one count at a time")
          this.#second = run
        }
      },
      (step) => this.#steps === undefined ? step() : void this.#steps.push(step)
    )
  }

  get told(): ReadonlyArray<string> {
    return this.#parties.events.map(({ holder, quota }) => `${quota} ${holder}`)
  }

  get isWatched(): boolean {
    return this.#second !== undefined
  }

  /** So much time passes that what has to be given up for new ones was looked for. */
  settle(): void {
    const run = this.#patience
    this.#patience = undefined
    run?.()
  }

  /** The event loop has no more time; answers what gives it time again. */
  stall(): () => void {
    const steps: Array<() => void> = this.#steps = []
    return () => {
      this.#steps = undefined
      for (const step of steps) step()
    }
  }

  /** A second passes. */
  tick(): void {
    const run = this.#second
    this.#second = undefined
    run?.()
  }

  /** Adds one, and lets it settle. */
  add(name: string, given: Given): Interrupted<Principal, Principal> {
    const session = this.join(name, given)
    this.settle()
    return session
  }

  /** One of many that come at once. */
  join(name: string, given: Given): Interrupted<Principal, Principal> {
    const session = {
      driver: {
        mux: {
          unreadBytes: given.unread ?? 0,
          get unsentBytes() {
            return given.unsent ?? 0
          }
        }
      } as unknown as ConnectionDriver<Principal, Principal>,
      session: { bytes: given.kept ?? 0 } as Session,
      giveUp: () => this.lost.push(name)
    }
    // Equal, not the same.
    const principal = given.user === undefined ? undefined : { user: given.user }
    this.#clients.set(session.driver, { address: given.address, principal })
    this.sessions.add(session)
    return session
  }
}

describe("interrupted sessions", () => {
  it("a principal's many interrupted sessions make room for each other, and other principals' stay", () => {
    const world = new World({ server: { interruptedBytes: 64 * MiB } })
    for (let n = 0; n < 20; n++) world.add(`honest ${n}`, { user: `user ${n}`, kept: MiB })
    for (let n = 0; n < 12; n++) world.add(`greedy ${n}`, { user: "greedy", kept: 16 * MiB })
    assert.deepStrictEqual(world.lost.filter((name) => name.startsWith("honest")), [])
    assert.lengthOf(world.lost, 10)
    // Many small ones of one principal hold more than one large one of another.
    for (let n = 0; n < 4000; n++) world.add(`small ${n}`, { user: "crowd" })
    assert.deepStrictEqual(world.lost.filter((name) => name.startsWith("honest")), [])
  })

  it("the largest interrupted session is given up first, and among equal ones the one that has waited the longest", () => {
    const world = new World({ server: { interruptedBytes: 90 * KiB } })
    world.add("first", { kept: 10 })
    world.add("large", { kept: 50 * KiB })
    world.add("second", { kept: 5 })
    assert.deepStrictEqual(world.lost, ["large"])
    for (let n = 3; n < 9; n++) world.add(String(n), {})
    assert.deepStrictEqual(world.lost, ["large", "first", "second", "3"])
  })

  it("unread and unsent bytes of an interrupted session count, even those that come later", () => {
    const world = new World({ server: { interruptedBytes: MiB } })
    const growing: Given = { unread: 100 * KiB, unsent: 100 * KiB }
    world.add("growing", growing)
    world.add("other", {})
    world.tick()
    assert.deepStrictEqual(world.lost, [])
    growing.unsent = MiB
    world.tick()
    assert.deepStrictEqual(world.lost, ["growing"])
    assert.isTrue(world.isWatched)
  })

  it("quotas hold for a principal and for an address, however much room is left", () => {
    const world = new World({
      perPrincipal: { interruptedBytes: 4 * MiB },
      perAddress: { interruptedBytes: 8 * MiB }
    })
    for (let n = 0; n < 6; n++) world.add(`a${n}`, { user: "ada", address: String(n), kept: MiB })
    assert.deepStrictEqual(world.lost, ["a0", "a1", "a2"])
    for (let n = 0; n < 8; n++) world.add(`b${n}`, { user: String(n), address: "10.0.0.1", kept: MiB })
    assert.deepStrictEqual(world.lost.slice(3), ["b0"])
    // Without an authenticate all are nobody, who has no quota.
    for (let n = 0; n < 20; n++) world.add(`c${n}`, { kept: MiB })
    assert.lengthOf(world.lost, 4)
    assert.deepStrictEqual(world.told, ["interruptedBytes principal", "interruptedBytes address"])
  })

  it("a principal or an address has so many sessions, however small they are", () => {
    const world = new World({ perPrincipal: { interruptedSessions: 2 }, perAddress: { interruptedSessions: 3 } })
    for (let n = 0; n < 4; n++) world.add(`a${n}`, { user: "ada", address: String(n) })
    assert.deepStrictEqual(world.lost, ["a0", "a1"])
    for (let n = 0; n < 4; n++) world.add(`b${n}`, { user: String(n), address: "10.0.0.1" })
    assert.deepStrictEqual(world.lost, ["a0", "a1", "b0"])
    assert.deepStrictEqual(world.told, ["interruptedSessions principal", "interruptedSessions address"])
  })

  it("of many that are interrupted at once those that are too many are looked for once, and end as there is time", () => {
    const world = new World({ server: { interruptedBytes: 1000 * 16 * KiB } })
    const go = world.stall()
    const sessions = Array.from({ length: 3000 }, (_, n) => world.join(String(n), { address: `${n}` }))
    assert.deepStrictEqual(world.told, [])
    world.settle()
    assert.lengthOf(world.told, 1)
    assert.deepStrictEqual(world.lost, [])
    // One comes back before it is its turn, another one ends by itself.
    world.sessions.delete(sessions[0]!)
    world.sessions.delete(sessions[1]!)
    go()
    assert.deepStrictEqual(world.lost, Array.from({ length: 1998 }, (_, n) => `${n + 2}`))
    world.sessions.delete(sessions[2999]!)
    world.add("next", {})
    assert.lengthOf(world.lost, 1998)
  })

  it("resumed sessions count for nothing, and the watch ends when no interrupted session is left", () => {
    const world = new World({ server: { interruptedBytes: 2 * MiB } })
    const one = world.add("one", { user: "ada", address: "10.0.0.1", kept: MiB })
    world.sessions.delete(one)
    world.sessions.delete(one)
    for (let n = 0; n < 10; n++) world.sessions.delete(world.add(String(n), { user: "ada", kept: MiB }))
    world.add("two", { user: "ada", kept: MiB })
    assert.deepStrictEqual(world.lost, [])
    world.sessions.delete(world.add("three", { user: "ada" }))
    const last = world.add("four", {})
    world.sessions.delete(last)
    world.tick()
    assert.isTrue(world.isWatched)
  })
})

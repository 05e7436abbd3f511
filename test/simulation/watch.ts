/**
 * Looks at what connections hold while a simulation runs: no more than may be, and all of it accounted for.
 */
import * as Limits from "effect-swaggersocket/Limits"
import * as Effect from "effect/Effect"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import { creditFaults } from "./credit.ts"
import type { World } from "./world.ts"

type Driver = ConnectionDriver<unknown, unknown>

/** What a server counts for each interrupted connection besides its bytes. */
const flatBytes = 16 * 1024

/** After so much written a connection counts what it has not sent. */
const unsentStep = 1024 * 1024

/** A server counts every second: for so long it may hold more than it may, in milliseconds. */
const patience = 2500

const bytesOf = ({ mux, session }: Driver): number => (session?.bytes ?? 0) + mux.unreadBytes + (mux.unsentBytes ?? 0)

const sum = (drivers: ReadonlyArray<Driver>, bytes: (driver: Driver) => number): number =>
  drivers.reduce((total, driver) => total + bytes(driver), 0)

/** What may not last: that more is held than may be, and nothing changes. */
class Excess {
  #bytes = 0
  #since = Infinity

  lasts(bytes: number, most: number, now: number): boolean {
    if (bytes <= most) this.#since = Infinity
    else if (bytes !== this.#bytes || this.#since === Infinity) this.#since = now
    this.#bytes = bytes
    return now - this.#since > patience
  }
}

/** What a connection must not hold at any time. The last message that a replay buffer takes may lie over its bound. */
const memoryFaults = (
  { mux, session }: Driver,
  name: string,
  limits: Limits.Limits,
  peer: Limits.Limits
): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const mostKept = limits.replayBuffer + peer.maxMessageSize
  if (session !== undefined && session.bytes > mostKept) {
    faults.push(`${name} keeps ${session.bytes} bytes, above ${mostKept}`)
  }
  const mostUnread = limits.maxUnread + limits.maxConnectionWindow
  if (mux.unreadBytes > mostUnread) faults.push(`${name} has ${mux.unreadBytes} unread bytes, above ${mostUnread}`)
  return faults
}

export class Watch {
  /** Until the next look, in milliseconds: the longer a plan waits, the less happens. */
  interval: number
  readonly #world: World
  readonly #near: Limits.Limits
  readonly #far: Limits.Limits
  readonly #interrupted = new Excess()
  readonly #memory = new Excess()

  constructor(world: World) {
    const { end, limits } = world.plan
    this.#world = world
    this.#near = Limits.make(limits.client)
    this.#far = Limits.make(limits.server)
    this.interval = Math.max(7, end / 50)
  }

  look(): ReadonlyArray<string> {
    this.interval *= 1.1
    const { clients, plan, server } = this.#world
    const [near, far] = [this.#near, this.#far]
    const connections = server?.acceptor?.connections() ?? []
    const faults = [
      ...connections.flatMap((end) => memoryFaults(end, "the server", far, near)),
      ...this.#totalFaults(connections)
    ]
    for (const program of clients) {
      if (program?.client === undefined) continue
      const status = Effect.runSync(program.client.status)
      if (status._tag === "Connected") faults.push(...memoryFaults(status.connection as Driver, "a client", near, far))
      if (plan.wire === "v2") faults.push(...creditFaults(this.#world, program))
    }
    return faults
  }

  /** What all connections of the server hold together. */
  #totalFaults(connections: ReadonlyArray<Driver>): ReadonlyArray<string> {
    const { loop: { now }, plan: { quotas } } = this.#world
    const faults: Array<string> = []
    const unsent = sum(connections, ({ mux: { unsentBytes = 0 } }) => unsentBytes)
    const mostUnsent = this.#far.maxUnsentBytes + 2 * unsentStep * connections.length
    if (unsent > mostUnsent) faults.push(`the server has ${unsent} unsent bytes, above ${mostUnsent}`)
    if (quotas === undefined) return faults
    const memory = sum(connections, bytesOf)
    if (this.#memory.lasts(memory, quotas.memory, now)) {
      faults.push(`the server holds ${memory} bytes, above ${quotas.memory}`)
    }
    for (const { number } of this.#world.clients.flatMap((program) => program ?? [])) {
      const interrupted = connections.filter(({ metadata, now }) =>
        now === "interrupted" && (metadata as { readonly name: number }).name === number
      )
      const bytes = sum(interrupted, (driver) => flatBytes + bytesOf(driver))
      if (this.#interrupted.lasts(bytes, quotas.interruptedBytes, now)) {
        faults.push(`the server holds ${bytes} bytes of interrupted connections, above ${quotas.interruptedBytes}`)
      }
    }
    return faults
  }
}

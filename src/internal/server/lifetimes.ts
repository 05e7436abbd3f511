/**
 * Drains connections that are idle, or old, so that their clients dial again (PROTOCOL.md, "Drain"). No call is lost by that: calls
 * in progress finish, and those that cross the GOAWAY are told to be not processed.
 *
 * Connections of wire v1 stay: it has no GOAWAY, so that a call which crosses the close would be lost.
 */
import * as Duration from "effect/Duration"
import type { Limits } from "../../Limits.ts"
import type { ConnectionDriver } from "../connection/types.ts"

/** Ages differ by up to so much, so that clients which have come at once don't come back at once. That of gRPC. */
const jitter = 0.1

/** All connections are looked at so many times within the shorter of the two times; between two looks pass so many milliseconds. */
const looks = 100
const minPeriod = 100
const maxPeriod = 60_000

type Driver = Pick<ConnectionDriver<unknown, unknown>, "id" | "mux" | "now" | "wire">

/** Why a connection is drained. */
type Because = "idle time" | "age"

interface Life {
  readonly endsAt: number
  /** How many calls both ends had made, and when that was first seen. */
  calls: number
  idleSince: number
  /** It is retired when it is its turn. */
  isDue: boolean
}

/** @internal */
export interface LifetimesOptions<D extends Driver> {
  readonly limits: Pick<Limits, "maxConnectionAge" | "maxConnectionIdle">
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  readonly delay: (millis: number, run: () => void) => void
  /** Runs a step now, or in a later turn of the event loop: thousands may be due at once, as all are after a call to everybody. */
  readonly inTurn: (step: () => void) => void
  readonly connections: () => ReadonlyArray<D>
  /** Lets a connection finish its calls, and closes it. */
  readonly retire: (driver: D, because: Because) => void
}

/** @internal */
export class Lifetimes<D extends Driver> {
  readonly #options: LifetimesOptions<D>
  readonly #maxIdle: number
  readonly #maxAge: number
  readonly #lives = new WeakMap<D, Life>()
  #isLooking = false

  constructor(options: LifetimesOptions<D>) {
    const { maxConnectionAge, maxConnectionIdle } = options.limits
    this.#options = options
    this.#maxIdle = Duration.toMillis(maxConnectionIdle)
    this.#maxAge = Duration.toMillis(maxConnectionAge)
  }

  /** A connection has opened. */
  add(driver: D): void {
    if (Math.min(this.#maxIdle, this.#maxAge) === Infinity || driver.wire === "v1") return
    const now = this.#options.now()
    // Ids are random.
    const share = Number.parseInt(driver.id.slice(0, 8), 16) / 2 ** 32
    const endsAt = now + this.#maxAge * (1 + jitter * (2 * share - 1))
    this.#lives.set(driver, { endsAt, calls: 0, idleSince: now, isDue: false })
    this.#lookLater()
  }

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    const period = Math.min(this.#maxIdle, this.#maxAge) / looks
    this.#options.delay(Math.max(minPeriod, Math.min(period, maxPeriod)), () => {
      this.#isLooking = false
      const connections = this.#options.connections()
      for (const driver of connections) this.#look(driver)
      if (connections.length > 0) this.#lookLater()
    })
  }

  #look(driver: D): void {
    const life = this.#lives.get(driver)
    // One that has lost its link is left to `resumeWindow`: its client could not be told.
    if (life === undefined || life.isDue || driver.now !== "open") return
    const now = this.#options.now()
    const { active, counters } = driver.mux
    const calls = counters.streamsOpened + counters.streamsAccepted
    if (active.local + active.remote + active.waiting > 0 || calls !== life.calls) {
      life.calls = calls
      life.idleSince = now
    }
    if (now >= life.endsAt) this.#retire(driver, life, "age")
    else if (now - life.idleSince >= this.#maxIdle) this.#retire(driver, life, "idle time")
  }

  #retire(driver: D, life: Life, because: Because): void {
    life.isDue = true
    this.#options.inTurn(() => {
      life.isDue = false
      if (driver.now === "open") this.#options.retire(driver, because)
    })
  }
}

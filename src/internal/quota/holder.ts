/**
 * An address, a principal, a server or a process, and what its clients use of its quotas.
 */
import * as PrimaryKey from "effect/PrimaryKey"
import type { Quotas, Share, Totals } from "../../Quotas.ts"
import { RateLimit } from "../streams/rateLimit.ts"

/** @internal */
export type HolderKind = "address" | "principal" | "server" | "process"

/** Rates, with the number of tokens that may be taken at once. */
const rates = {
  handshakesPerSecond: "handshakeBurst",
  callsPerSecond: "callBurst"
} as const satisfies Partial<Record<keyof Share, keyof Share>>

/** What is counted by the second. @internal */
export type Rate = keyof typeof rates

/** What is counted while it is there: things, or bytes. @internal */
export type Resource = Exclude<keyof Share | keyof Totals, Rate | typeof rates[Rate]>

/** The name of a quota, as the options have it. @internal */
export type Quota = Resource | Rate

type Amounts = { readonly [Name in keyof Share | keyof Totals]?: number }

/** @internal */
export const quotasOf = (quotas: Quotas, kind: HolderKind): Amounts => {
  switch (kind) {
    case "address":
      return quotas.perAddress
    case "principal":
      return quotas.perPrincipal
    case "server":
      return quotas.server
    case "process":
      return quotas.process
  }
}

/** How long a refusal is repeated, and then is not. Someone who resumes has two minutes, in which it dials ten times. */
const fullMillis = 1000

/** @internal */
export class Holder {
  readonly kind: HolderKind
  /** The address, or the principal, which may be anything; absent for servers and processes. */
  readonly key: unknown
  readonly #quotas: Amounts
  readonly #now: () => number
  readonly #onChange: (holder: Holder) => void
  readonly #used: { [Name in Resource]?: number } = {}
  /** How many resources are used. */
  #inUse = 0
  readonly #rates = new Map<Rate, RateLimit>()
  /** Until when refusals are repeated without being asked for, in milliseconds. */
  readonly #fullUntil = new Map<Resource, number>()
  /** When all buckets of rates are full again, in milliseconds. */
  #restedAt = 0

  /** `onChange` is called when it begins or ceases to use anything. `now`: milliseconds. */
  constructor(
    kind: HolderKind,
    key: unknown,
    quotas: Amounts,
    now: () => number,
    onChange: (holder: Holder) => void
  ) {
    this.kind = kind
    this.key = key
    this.#quotas = quotas
    this.#now = now
    this.#onChange = onChange
  }

  get address(): string | undefined {
    return this.kind === "address" ? this.key as string : undefined
  }

  used(resource: Resource): number {
    return this.#used[resource] ?? 0
  }

  quota(name: Quota | typeof rates[Rate]): number {
    return this.#quotas[name] ?? Infinity
  }

  hasRoom(resource: Resource, amount: number): boolean {
    return this.used(resource) + amount <= this.quota(resource)
  }

  /**
   * Remembers for a second that there was no room, and then not again for another one: clients who need no room have to get
   * through, however many others come.
   */
  markFull(resource: Resource): void {
    const now = this.#now()
    if (now >= (this.#fullUntil.get(resource) ?? -Infinity) + fullMillis) {
      this.#fullUntil.set(resource, now + fullMillis)
    }
  }

  /** There is no room, as was found within the last second. */
  isMarkedFull(resource: Resource): boolean {
    return !this.hasRoom(resource, 1) && this.#now() < (this.#fullUntil.get(resource) ?? 0)
  }

  /** `amount` may be negative. */
  add(resource: Resource, amount: number): void {
    const before = this.used(resource)
    const after = before + amount
    this.#used[resource] = after
    const wasIdle = this.isIdle
    this.#inUse += Number(after !== 0) - Number(before !== 0)
    if (this.isIdle !== wasIdle) this.#onChange(this)
  }

  /** Takes a token of a rate; `false`: there is none. */
  take(rate: Rate): boolean {
    const perSecond = this.quota(rate)
    if (perSecond === Infinity) return true
    const burst = this.quota(rates[rate])
    let limit = this.#rates.get(rate)
    if (limit === undefined) this.#rates.set(rate, limit = new RateLimit(perSecond, burst, this.#now))
    this.#restedAt = Math.max(this.#restedAt, this.#now() + burst / perSecond * 1000)
    return limit.take()
  }

  /** Nothing is used. */
  get isIdle(): boolean {
    return this.#inUse === 0
  }

  /** Forgetting it loses nothing: nothing is used, and no rate was used for so long that its bucket is full again. */
  get isForgettable(): boolean {
    return this.isIdle && this.#now() >= this.#restedAt
  }
}

/** A name has at most so many characters: a client may have chosen it. */
const maxName = 128

/** Whether nobody in particular has used up such a quota. @internal */
export const isTotal = ({ kind }: Holder): boolean => kind === "server" || kind === "process"

/** The name of a principal, for events: a text, a number, or a primary key. Other principals have none. @internal */
export const nameOf = ({ key, kind }: Holder): string | undefined => {
  if (kind !== "principal") return undefined
  const name = PrimaryKey.isPrimaryKey(key) ? PrimaryKey.value(key) : key
  return typeof name === "string" || typeof name === "number" ? String(name).slice(0, maxName) : undefined
}

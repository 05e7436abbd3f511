/**
 * Tells of quotas that are used up: as events, in a metric and in the log. Any stranger can be refused thousands of times a
 * second, so of each quota the first refusal is told at once, and after a second how many more there were, and whose.
 */
import type { Context } from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Metric from "effect/Metric"
import type { QuotaExceeded } from "../../ConnectionEvent.ts"
import { oneLine } from "../frame/oneLine.ts"
import * as metrics from "../observe/metrics.ts"
import { type Holder, nameOf, type Quota } from "./holder.ts"
import type { LimitedConnection } from "./limits.ts"
import { describe, type Exceeded, type Told } from "./party.ts"

/** So many addresses or principals are told by name after each second, for each quota. A guess. */
const maxNamed = 10

/** Milliseconds between what is told of one quota. */
const interval = 1000

/** @internal */
export interface RefusalsOptions {
  /** For metrics and logs. */
  readonly context: Context<never>
  /** Unix time in milliseconds. */
  readonly now: () => number
  readonly delay: (millis: number, run: () => void) => void
  readonly log: (line: Effect.Effect<void>) => void
  readonly publish: (event: QuotaExceeded) => void
  /** Clients are counted by the address of their TCP connection, and some of them have come through a proxy. */
  readonly areProxiesCounted: () => boolean
  /**
   * Events name principals: the program has said by what they are to be counted (`principalOf`). What authentication answers
   * may hold secrets.
   */
  readonly areNamed: boolean
}

const proxyHint = "; clients come through a proxy and count as one: give `addressOf`, such as Quotas.forwardedAddress()"

/**
 * An answer that is forgotten is no refusal: the log tells of it at level debug, and so of limits of connections, as of how they
 * end.
 */
const quiet: ReadonlySet<string> = new Set<Quota>(["idempotencyBytes", "idempotencyKeys"])

type Subject = Holder | LimitedConnection

const isOfConnection = (told: Told): told is Exclude<Told, Exceeded> => told.holder.kind === "connection"

const textOf = (told: Told): string =>
  isOfConnection(told) ? `limit of a connection exceeded: ${told.quota}` : `quota exceeded: ${describe(told)}`

/** What was refused since it was told last. */
interface Untold {
  readonly byHolder: Map<Subject, number>
  /** Refusals of further holders. */
  others: number
}

/** @internal */
export class Refusals {
  readonly #options: RefusalsOptions
  readonly #untold = new Map<string, Untold>()
  readonly #counts = new Map<string, Metric.Counter<number>>()

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  add(exceeded: Told): void {
    const { holder, quota } = exceeded
    const key = `${quota} ${holder.kind}`
    this.#countOf(key, exceeded).updateUnsafe(1, this.#options.context)
    const untold = this.#untold.get(key)
    if (untold === undefined) {
      this.#untold.set(key, { byHolder: new Map(), others: 0 })
      this.#tell(exceeded, 1, holder)
      this.#options.delay(interval, () => this.#tellMore(key, exceeded))
      return
    }
    const count = untold.byHolder.get(holder)
    if (count !== undefined || untold.byHolder.size < maxNamed) untold.byHolder.set(holder, (count ?? 0) + 1)
    else untold.others++
  }

  #countOf(key: string, { holder, quota }: Told): Metric.Counter<number> {
    let count = this.#counts.get(key)
    if (count === undefined) this.#counts.set(key, count = metrics.quotaExceeded(quota, holder.kind))
    return count
  }

  #tellMore(key: string, first: Told): void {
    const { byHolder, others } = this.#untold.get(key)!
    this.#untold.delete(key)
    if (byHolder.size === 0) return
    for (const [holder, count] of byHolder) this.#tell({ ...first, holder } as Told, count, holder)
    if (others > 0) this.#tell(first, others, undefined)
    this.#untold.set(key, { byHolder: new Map(), others: 0 })
    this.#options.delay(interval, () => this.#tellMore(key, first))
  }

  /** `whose` is absent for refusals of several holders. */
  #tell(exceeded: Told, count: number, whose: Subject | undefined): void {
    const { areNamed, areProxiesCounted, log, now, publish } = this.#options
    const { holder, quota } = exceeded
    const address = whose?.address
    const principal = areNamed && whose?.kind === "principal" ? nameOf(whose) : undefined
    publish({
      _tag: "QuotaExceeded",
      quota,
      holder: holder.kind,
      ...(address === undefined ? undefined : { address }),
      ...(principal === undefined ? undefined : { principal }),
      ...(whose?.kind === "connection" ? { connectionId: whose.connectionId } : undefined),
      count,
      at: now()
    })
    const text = `${textOf(exceeded)}${count > 1 ? ` (${count} times within a second)` : ""}${
      holder.kind === "address" && areProxiesCounted() ? proxyHint : ""
    }`
    const line = quiet.has(quota) || isOfConnection(exceeded) ? Effect.logDebug(text) : Effect.logWarning(text)
    log(Effect.annotateLogs(line, address === undefined ? {} : { address: oneLine(address) }))
  }
}

/**
 * Whose quotas something counts against: those of an address, of a principal and of a server, as far as they are known.
 */
import type { Holder, Quota, Rate, Resource } from "./holder.ts"
import type { LimitedConnection, LimitName } from "./limits.ts"

/** A quota that is used up. @internal */
export interface Exceeded {
  readonly quota: Quota
  readonly holder: Holder
}

/** What is told: a quota that is used up, or a limit of a connection. @internal */
export type Told = Exceeded | { readonly quota: LimitName; readonly holder: LimitedConnection }

/** Whose quotas something counts against. `undefined`: not known. @internal */
export interface Client {
  readonly address: string | undefined
  readonly principal: unknown
}

/** @internal */
export class Party {
  readonly holders: ReadonlyArray<Holder>
  /**
   * Whoever makes room when a total is used up: the principal; or the address where there are none, of IPv6 its network, which
   * comes last.
   */
  readonly payer: Holder | undefined
  readonly #onExceeded: (told: Told) => void

  /** `onExceeded` is told of each refusal. */
  constructor(holders: ReadonlyArray<Holder>, onExceeded: (told: Told) => void) {
    this.holders = holders
    this.payer = holders.find(({ kind }) => kind === "principal") ?? holders.findLast(({ kind }) => kind === "address")
    this.#onExceeded = onExceeded
  }

  /** Who it is, as far as that is known. */
  get client(): Client {
    const of = (kind: Holder["kind"]) => this.holders.find((holder) => holder.kind === kind)?.key
    return { address: of("address") as string | undefined, principal: of("principal") }
  }

  /** The same with one more holder, which is asked first. */
  with(holder: Holder): Party {
    return new Party([holder, ...this.holders], this.#onExceeded)
  }

  /** The holders of one kind alone: one, or none where it is not known. */
  only(kind: Holder["kind"]): Party {
    return new Party(this.holders.filter((holder) => holder.kind === kind), this.#onExceeded)
  }

  /** Answers the first quota that leaves no room, and says so where refusals are told. */
  refusal(resource: Resource, amount: number = 1): Exceeded | undefined {
    const holder = this.holders.find((holder) => !holder.hasRoom(resource, amount))
    return holder === undefined ? undefined : this.tell({ quota: resource, holder })
  }

  /** Repeats a refusal of the last second, as long as there is no room. */
  repeatedRefusal(resource: Resource): Exceeded | undefined {
    const holder = this.holders.find((holder) => holder.isMarkedFull(resource))
    return holder === undefined ? undefined : this.tell({ quota: resource, holder })
  }

  /** Counts something, whether or not there is room for it. `amount` may be negative. */
  add(resource: Resource, amount: number = 1): void {
    for (const holder of this.holders) holder.add(resource, amount)
  }

  /** Counts something where there is room for it. Answers the quota that leaves none; then nothing is counted. */
  acquire(resource: Resource, amount: number = 1): Exceeded | undefined {
    const exceeded = this.refusal(resource, amount)
    if (exceeded === undefined) this.add(resource, amount)
    return exceeded
  }

  /** Ends the counting of something that was added or acquired. */
  release(resource: Resource, amount: number = 1): void {
    this.add(resource, -amount)
  }

  /** Takes a token of each holder. A token of a holder that was asked before the one that has none is lost. */
  take(rate: Rate): Exceeded | undefined {
    const holder = this.holders.find((holder) => !holder.take(rate))
    return holder === undefined ? undefined : this.tell({ quota: rate, holder })
  }

  /**
   * Counts a call where there is room for it; written without closures, as it is on the way of each call. Of the total of the
   * server the payer gets as much as there is room left for others: so they always find some.
   */
  beginCall(): Exceeded | undefined {
    for (const holder of this.holders) {
      const room = holder.quota("calls") - holder.used("calls")
      const least = holder.kind === "server" ? this.payer?.used("calls") ?? 0 : 0
      if (room <= least) return this.tell({ quota: "calls", holder })
    }
    for (const holder of this.holders) {
      if (!holder.take("callsPerSecond")) return this.tell({ quota: "callsPerSecond", holder })
    }
    for (const holder of this.holders) holder.add("calls", 1)
    return undefined
  }

  /** One of these holders' connections, as it is told of when one of its limits is used up. */
  connection(connectionId: string): LimitedConnection {
    return { kind: "connection", connectionId, address: this.client.address }
  }

  /** Says that a limit of a connection is used up. */
  tellLimit(quota: LimitName, holder: LimitedConnection): void {
    this.#onExceeded({ quota, holder })
  }

  /** Says that a quota is used up. */
  tell(exceeded: Exceeded): Exceeded {
    this.#onExceeded(exceeded)
    return exceeded
  }
}

const words: Readonly<Record<Quota, string>> = {
  connections: "connections",
  pendingHandshakes: "handshakes in progress",
  handshakesPerSecond: "handshakes a second",
  interruptedSessions: "interrupted connections",
  interruptedBytes: "bytes of interrupted connections",
  memory: "bytes that connections hold",
  streamingWebSockets: "WebSockets of streaming endpoints",
  calls: "calls in progress",
  callsPerSecond: "calls a second",
  callDelay: "late calls",
  idempotencyKeys: "idempotency keys",
  idempotencyBytes: "bytes for idempotency keys"
}

/** For people: what there is too much of, and for whom. @internal */
export const describe = ({ holder, quota }: Exceeded): string => `too many ${words[quota]} of this ${holder.kind}`

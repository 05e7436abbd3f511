/**
 * Bounds the idempotency keys, the bytes that are kept for them and the handlers whose callers have gone: those of each address,
 * of each principal and of all together. Whoever has the most makes room. A key whose handler may still run is never forgotten.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { type Holder, isTotal } from "../quota/holder.ts"
import { Largest } from "../quota/largest.ts"
import type { Exceeded, Party } from "../quota/party.ts"
import type { Evictor, Part, ProcessTotals } from "../quota/processTotals.ts"
import { unreadPrint } from "./bodyDigest.ts"
import { Entry, type Outcome, sizeOf } from "./keptAnswers.ts"
import type { RequestPrint } from "./requestPrint.ts"

interface Kept {
  readonly entry: Entry
  readonly size: number
  readonly expires: number
}

/** A key takes so many bytes besides its request and its response. A guess. */
const keyWeight = 1024

/** So many answers whose time is over are forgotten for each request. All at once may be all that there are. */
const maxExpired = 16

/** What one holder occupies, or one payer. */
class Account {
  /** Keys of requests that have ended, the oldest first. */
  readonly ids = new Set<string>()
  /** Requests in progress, and those of them whose callers have left. */
  running = 0
  readonly unattended = new Set<Entry>()
  /** Bytes of responses that are kept or recorded, and of request bodies that are in memory. */
  answerBytes = 0
  bodyBytes = 0

  get weight(): number {
    return this.answerBytes + keyWeight * (this.running + this.ids.size)
  }

  get isEmpty(): boolean {
    return this.weight + this.bodyBytes === 0
  }
}

/** Accounts of those that have something. */
class Accounts<K> {
  readonly all = new Map<K, Account>()

  get(key: K): Account {
    return this.all.get(key) ?? new Account()
  }

  /** Changes an account. */
  update(key: K, change: (account: Account) => void): void {
    const account = this.get(key)
    change(account)
    if (account.isEmpty) this.all.delete(key)
    else this.all.set(key, account)
  }
}

interface Bounds {
  /** Requests in progress whose callers have left. */
  readonly maxUnattended: number
  /** Milliseconds. */
  readonly timeToLive: number
}

/** @internal */
export class Entries implements Part {
  readonly #bounds: Bounds
  readonly #server: Holder
  readonly #process: ProcessTotals
  readonly #running = new Map<string, Entry>()
  /** The oldest first. */
  readonly #ended = new Map<string, Kept>()
  /** Of addresses and principals, for their own quotas. */
  readonly #holders = new Accounts<Holder>()
  /** Of whoever makes room for others. All that are not known are one. */
  readonly #payers = new Accounts<Holder | undefined>()
  /** Whoever has the most among those of whom something is kept. */
  readonly #most = new Largest(this.#payers.all, ({ ids, weight }) => ids.size === 0 ? 0 : weight)
  #answerBytes = 0
  #bodyBytes = 0
  #unattended = 0
  /** Of those payers who have some. */
  readonly #leaving = new Set<Account>()
  /** What counts as memory of the process. */
  #counted = 0

  /** `server` has the quotas of all callers together. */
  constructor(server: Holder, process: ProcessTotals, bounds: Bounds) {
    this.#server = server
    this.#process = process
    this.#bounds = bounds
  }

  /** Bytes of request bodies and answers in memory. */
  get bytes(): number {
    return this.#answerBytes + this.#bodyBytes
  }

  find(id: string, now: number): Entry | undefined {
    let left = maxExpired
    for (const [id, { expires }] of this.#ended) {
      if (expires > now || left-- === 0) break
      this.#forget(id)
    }
    const ended = this.#ended.get(id)
    if (ended === undefined || ended.expires > now) return this.#running.get(id) ?? ended?.entry
    this.#forget(id)
    return undefined
  }

  /** Adds an entry for a new key, or answers the quota that leaves no room: too many requests are in progress. */
  add(id: string, party: Party): Entry | Exceeded {
    const exceeded = this.#makeRoomForKey(party)
    if (exceeded !== undefined) return party.tell(exceeded)
    const entry = new Entry(party)
    this.#running.set(id, entry)
    party.add("idempotencyKeys")
    this.#update(party, (account) => account.running++)
    return entry
  }

  /** Reserves memory for a request's body. No kept response is dropped for it. */
  holdBody(bytes: number, party: Party): boolean {
    const room = this.#server.quota("idempotencyBytes") - this.#bodyBytes
    // As much as there is room left for others, so that they always find some.
    if (bytes > room || this.#payers.get(party.payer).bodyBytes + bytes > Math.max(room, bytes)) return false
    const full = ownHolders(party).find((holder) =>
      this.#holders.get(holder).bodyBytes + bytes > holder.quota("idempotencyBytes")
    )
    if (full !== undefined) return false
    this.#countBody(bytes, party)
    return true
  }

  releaseBody(bytes: number, party: Party): void {
    this.#countBody(-bytes, party)
  }

  /** Reserves memory for a part of a response in progress. Kept responses are dropped for it if necessary. */
  record(entry: Entry, bytes: number): boolean {
    if (!this.#makeRoom(entry.party, bytes)) return false
    entry.recorded += bytes
    this.#countAnswer(bytes, entry.party)
    return true
  }

  /** The store does not know the key: its first request begins. */
  begin(id: string, print: RequestPrint): void {
    const entry = this.#running.get(id)
    if (entry !== undefined) tellPrint(entry, print)
  }

  /** The request has ended. Its outcome is kept if `now` is given. */
  end(id: string, outcome: Outcome, now?: number): void {
    const entry = this.#stop(id)
    if (entry === undefined) return
    const size = sizeOf(outcome)
    const isKept = now === undefined || this.#makeRoom(entry.party, size)
    const kept: Outcome = isKept ? outcome : { print: outcome.print, done: outcome.done }
    if (now !== undefined) this.#keep(id, { entry, size: isKept ? size : 0, expires: now + this.#bounds.timeToLive })
    tellPrint(entry, outcome.print)
    Deferred.doneUnsafe(entry.body, Effect.succeed(outcome.print.body ?? unreadPrint))
    Deferred.doneUnsafe(entry.outcome, Effect.succeed(kept))
  }

  /** The request was not executed. */
  cancel(id: string, answer: HttpServerResponse.HttpServerResponse): void {
    const entry = this.#stop(id)
    if (entry !== undefined) Deferred.doneUnsafe(entry.print, Effect.fail(answer))
  }

  /** One more request waits for the response. */
  attach(entry: Entry): void {
    if (entry.callers++ === 0) this.#attend(entry)
  }

  /** A request stops waiting. A handler goes on when no request waits for it, but only `maxUnattended` handlers do. */
  detach(id: string, entry: Entry): void {
    if (--entry.callers > 0 || this.#running.get(id) !== entry) return
    const own = this.#payers.get(entry.party.payer)
    let { unattended: most } = own
    most.add(entry)
    this.#leaving.add(own)
    if (++this.#unattended <= this.#bounds.maxUnattended) return
    for (const { unattended } of this.#leaving) if (unattended.size > most.size) most = unattended
    // The newest one: it has done the least work.
    const victim = [...most].at(-1)!
    this.#attend(victim)
    victim.interrupt?.()
  }

  /** Of whoever keeps the most the older half of what is kept is forgotten. */
  evictor(): Evictor {
    const largest = () => this.#most.get()
    return {
      get most() {
        return largest()?.weight ?? 0
      },
      giveUp: (exceeded) => {
        const { ids } = largest()!
        const older = [...ids].slice(0, Math.ceil(ids.size / 2))
        this.#ended.get(older[0]!)!.entry.party.tell({ quota: "memory", holder: exceeded })
        for (const id of older) this.#forget(id)
      }
    }
  }

  // --- room ---------------------------------------------------------------------------------------------------------

  /** Makes room for a key, in the quotas of its own holders and in that of all. Answers what there is no room in. */
  #makeRoomForKey(party: Party): Exceeded | undefined {
    for (const holder of ownHolders(party)) {
      if (holder.hasRoom("idempotencyKeys", 1)) continue
      if (!this.#forgetOldest(this.#holders.get(holder), { quota: "idempotencyKeys", holder })) {
        return { quota: "idempotencyKeys", holder }
      }
    }
    // A single payer can so have half of all keys in progress, each of two a third, and others always find room.
    const room = this.#server.quota("idempotencyKeys") - this.#running.size
    const leavesRoom = this.#payers.get(party.payer).running < room
    if (leavesRoom && (room > this.#ended.size || this.#evict(party, "idempotencyKeys"))) return undefined
    return { quota: "idempotencyKeys", holder: room > 0 ? party.payer ?? this.#server : this.#server }
  }

  /** Makes room for bytes of a response, in the same way. */
  #makeRoom(party: Party, bytes: number): boolean {
    for (const holder of ownHolders(party)) {
      const quota = holder.quota("idempotencyBytes")
      if (bytes > quota) return false
      const account = this.#holders.get(holder)
      while (account.answerBytes + bytes > quota) {
        if (!this.#forgetOldest(account, { quota: "idempotencyBytes", holder })) return false
      }
    }
    const quota = this.#server.quota("idempotencyBytes")
    if (bytes > quota) return false
    while (this.#answerBytes + bytes > quota) if (!this.#evict(party, "idempotencyBytes")) return false
    return true
  }

  /** Forgets the oldest answer of whoever has the most. Nobody loses one to somebody who has as much. */
  #evict(party: Party, quota: "idempotencyBytes" | "idempotencyKeys"): boolean {
    const largest = this.#most.get()
    const own = this.#payers.get(party.payer)
    const victim = largest !== undefined && own.weight < largest.weight ? largest : own
    return this.#forgetOldest(victim, { quota, holder: this.#server })
  }

  #forgetOldest({ ids }: Account, because: Exceeded): boolean {
    for (const id of ids) {
      this.#ended.get(id)!.entry.party.tell(because)
      this.#forget(id)
      return true
    }
    return false
  }

  // --- counting -----------------------------------------------------------------------------------------------------

  #update(party: Party, change: (account: Account) => void): void {
    this.#payers.update(party.payer, change)
    this.#most.changed(this.#payers.get(party.payer))
    for (const holder of ownHolders(party)) this.#holders.update(holder, change)
    const counted = this.bytes + keyWeight * (this.#running.size + this.#ended.size)
    const grown = counted - this.#counted
    this.#counted = counted
    this.#process.holder.add("memory", grown)
    this.#process.use("memory", this, counted > 0)
    if (grown > 0) this.#process.bound("memory")
  }

  #countBody(bytes: number, party: Party): void {
    this.#bodyBytes += bytes
    this.#update(party, (account) => account.bodyBytes += bytes)
  }

  #countAnswer(bytes: number, party: Party): void {
    this.#answerBytes += bytes
    this.#update(party, (account) => account.answerBytes += bytes)
  }

  #attend(entry: Entry): void {
    const account = this.#payers.get(entry.party.payer)
    if (!account.unattended.delete(entry)) return
    this.#unattended--
    if (account.unattended.size === 0) this.#leaving.delete(account)
  }

  #stop(id: string): Entry | undefined {
    const entry = this.#running.get(id)
    if (entry === undefined) return undefined
    const { bodySize, party, recorded } = entry
    this.#attend(entry)
    this.#running.delete(id)
    party.release("idempotencyKeys")
    entry.bodySize = 0
    entry.recorded = 0
    this.#bodyBytes -= bodySize
    this.#answerBytes -= recorded
    this.#update(party, (account) => {
      account.running--
      account.bodyBytes -= bodySize
      account.answerBytes -= recorded
    })
    return entry
  }

  #keep(id: string, kept: Kept): void {
    const { entry: { party }, size } = kept
    this.#ended.set(id, kept)
    party.add("idempotencyKeys")
    this.#answerBytes += size
    this.#update(party, (account) => {
      account.ids.add(id)
      account.answerBytes += size
    })
  }

  #forget(id: string): void {
    const { entry: { party }, size } = this.#ended.get(id)!
    this.#ended.delete(id)
    party.release("idempotencyKeys")
    this.#answerBytes -= size
    this.#update(party, (account) => {
      account.ids.delete(id)
      account.answerBytes -= size
    })
  }
}

/** The address and the principal, as far as they are known. */
const ownHolders = ({ holders }: Party): ReadonlyArray<Holder> => holders.filter((holder) => !isTotal(holder))

const tellPrint = (entry: Entry, print: RequestPrint): void => {
  Deferred.doneUnsafe(entry.print, Effect.succeed(print))
  if (print.body !== undefined) Deferred.doneUnsafe(entry.body, Effect.succeed(print.body))
}

/**
 * The requests with an idempotency key that are in progress, and for a while the responses of those that have ended.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { type BodyPrint, unreadPrint } from "./bodyDigest.ts"
import { RequestPrint } from "./requestPrint.ts"

const Answer = Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record(Schema.String, Schema.String),
  cookies: Schema.Array(Schema.String),
  body: Schema.Uint8ArrayFromBase64
})

/** The outcome of a request. `done` says that its handler has ended. `answer` is absent if it could not be kept. @internal */
export const Outcome = Schema.Struct({
  print: RequestPrint,
  done: Schema.Boolean,
  answer: Schema.optionalKey(Answer)
})

/** @internal */
export type Outcome = typeof Outcome.Type

/** @internal */
export const toAnswer = (response: HttpServerResponse.HttpServerResponse, body: Uint8Array): typeof Answer.Type => ({
  status: response.status,
  headers: { ...response.headers },
  cookies: Cookies.toSetCookieHeaders(response.cookies),
  // A copy: the bytes may be a view of a larger buffer, or change later.
  body: body.slice()
})

/** @internal */
export const fromAnswer = ({ body, cookies, headers, status }: typeof Answer.Type) => {
  const options = { status, headers: Headers.fromInput(headers), cookies: Cookies.fromSetCookie(cookies) }
  return body.length === 0 ? HttpServerResponse.empty(options) : HttpServerResponse.uint8Array(body, options)
}

const sizeOf = ({ answer }: Outcome): number => {
  if (answer === undefined) return 0
  let size = answer.body.length
  for (const [name, value] of Object.entries(answer.headers)) size += name.length + value.length
  for (const cookie of answer.cookies) size += cookie.length
  return size
}

/** One key, from its first request on. @internal */
export class Entry {
  /** The scope that the key belongs to. */
  readonly scope: string
  /** The print of the first request. If the store fails, this fails with the response for all requests with the key. */
  readonly print: Deferred.Deferred<RequestPrint, HttpServerResponse.HttpServerResponse> = Deferred.makeUnsafe()
  /** The print of the first request's body, once that was read. */
  readonly body: Deferred.Deferred<BodyPrint> = Deferred.makeUnsafe()
  readonly outcome: Deferred.Deferred<Outcome> = Deferred.makeUnsafe()
  /** Interrupts the handler. */
  interrupt: (() => void) | undefined
  /** How many requests wait for the response. */
  callers = 0
  /** Bytes of its request body, and of its answer, that are in memory while it is in progress. */
  bodySize = 0
  recorded = 0

  constructor(scope: string) {
    this.scope = scope
  }
}

interface Kept {
  readonly entry: Entry
  readonly size: number
  readonly expires: number
}

/** What one scope occupies: ended requests, and responses that are being recorded. */
class Holder {
  /** The oldest first. */
  readonly ids = new Set<string>()
  weight = 0
}

/** A key counts as so many bytes besides its response when scopes are compared. It is about the memory that a key takes. */
const keyWeight = 1024

interface Bounds {
  /** Keys. */
  readonly capacity: number
  /** Bytes of responses, and the same number for request bodies. */
  readonly maxBytes: number
  /** Requests in progress whose callers have left. */
  readonly maxUnattended: number
  /** Milliseconds. */
  readonly timeToLive: number
}

/**
 * Bounds the number of keys, the bytes, and the handlers whose callers have gone. If one scope has far more than the others,
 * its own entries are dropped first.
 *
 * @internal
 */
export class Entries {
  readonly #bounds: Bounds
  readonly #running = new Map<string, Entry>()
  /** How many requests of each scope are in progress. */
  readonly #runningOf = new Map<string, number>()
  /** The oldest first. */
  readonly #ended = new Map<string, Kept>()
  readonly #holders = new Map<string, Holder>()
  /** The scope that has the most, or had it not long ago. */
  #largest = new Holder()
  #weight = 0
  #answerBytes = 0
  #bodyBytes = 0
  /** By scope. */
  readonly #unattended = new Map<string, Set<Entry>>()
  #unattendedCount = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  /** Bytes of request bodies and answers in memory. */
  get bytes(): number {
    return this.#answerBytes + this.#bodyBytes
  }

  find(id: string, now: number): Entry | undefined {
    for (const [id, { expires }] of this.#ended) {
      if (expires > now) break
      this.#forget(id)
    }
    return this.#running.get(id) ?? this.#ended.get(id)?.entry
  }

  /**
   * Adds an entry for a new key. `full`: the whole capacity is in progress. `share`: the scope has as many requests in progress
   * as there is room left. A single scope can so take half of the capacity, each of two a third, and others always find room.
   */
  add(id: string, scope: string): Entry | "full" | "share" {
    const { capacity } = this.#bounds
    const room = capacity - this.#running.size
    const own = this.#runningOf.get(scope) ?? 0
    if (room <= 0) return "full"
    if (own >= room) return "share"
    if (room <= this.#ended.size) this.#evict()
    const entry = new Entry(scope)
    this.#running.set(id, entry)
    this.#runningOf.set(scope, own + 1)
    return entry
  }

  /** Reserves memory for a request's body. No kept response is dropped for it. */
  holdBody(bytes: number): boolean {
    if (this.#bodyBytes + bytes > this.#bounds.maxBytes) return false
    this.#bodyBytes += bytes
    return true
  }

  releaseBody(bytes: number): void {
    this.#bodyBytes -= bytes
  }

  /** Reserves memory for a part of a response in progress. Kept responses are dropped for it if necessary. */
  record(entry: Entry, bytes: number): boolean {
    if (!this.#makeRoom(entry.scope, bytes)) return false
    entry.recorded += bytes
    this.#answerBytes += bytes
    this.#weigh(entry.scope, bytes)
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
    const isKept = now === undefined || this.#makeRoom(entry.scope, size)
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
    const ofScope = this.#unattended.get(entry.scope) ?? new Set()
    this.#unattended.set(entry.scope, ofScope.add(entry))
    if (++this.#unattendedCount <= this.#bounds.maxUnattended) return
    let most = ofScope
    for (const entries of this.#unattended.values()) if (entries.size > most.size) most = entries
    // The newest one: it has done the least work.
    const victim = [...most].at(-1)!
    this.#attend(victim)
    victim.interrupt?.()
  }

  #attend(entry: Entry): void {
    const ofScope = this.#unattended.get(entry.scope)
    if (ofScope === undefined || !ofScope.delete(entry)) return
    this.#unattendedCount--
    if (ofScope.size === 0) this.#unattended.delete(entry.scope)
  }

  #stop(id: string): Entry | undefined {
    const entry = this.#running.get(id)
    if (entry === undefined) return undefined
    this.#running.delete(id)
    const left = this.#runningOf.get(entry.scope)! - 1
    if (left > 0) this.#runningOf.set(entry.scope, left)
    else this.#runningOf.delete(entry.scope)
    this.#attend(entry)
    this.#bodyBytes -= entry.bodySize
    this.#answerBytes -= entry.recorded
    this.#weigh(entry.scope, -entry.recorded)
    entry.bodySize = 0
    entry.recorded = 0
    return entry
  }

  #keep(id: string, kept: Kept): void {
    this.#ended.set(id, kept)
    this.#answerBytes += kept.size
    this.#weigh(kept.entry.scope, kept.size + keyWeight).ids.add(id)
  }

  #forget(id: string): void {
    const { entry, size } = this.#ended.get(id)!
    this.#ended.delete(id)
    this.#holders.get(entry.scope)!.ids.delete(id)
    this.#answerBytes -= size
    this.#weigh(entry.scope, -size - keyWeight)
  }

  #weigh(scope: string, added: number): Holder {
    const holder = this.#holders.get(scope) ?? new Holder()
    holder.weight += added
    this.#weight += added
    if (holder.weight > 0) this.#holders.set(scope, holder)
    else this.#holders.delete(scope)
    if (holder.weight > this.#largest.weight) this.#largest = holder
    return holder
  }

  #makeRoom(scope: string, bytes: number): boolean {
    const { maxBytes } = this.#bounds
    if (bytes > maxBytes) return false
    while (this.#answerBytes + bytes > maxBytes) if (!this.#evict(scope)) return false
    return true
  }

  /**
   * Drops the oldest response, of the scope that has far more than the others if there is one. If that scope is the one that
   * needs room, no other scope loses a response.
   */
  #evict(scope?: string): boolean {
    const { ids, weight } = this.#largest
    // Twice as much: scopes that have about the same lose whichever response is the oldest.
    const isUneven = weight > 2 * (this.#weight - weight) / (this.#holders.size - 1)
    const isOwn = scope !== undefined && this.#holders.get(scope) === this.#largest
    for (const id of isUneven && (ids.size > 0 || isOwn) ? ids : this.#ended.keys()) {
      this.#forget(id)
      return true
    }
    return false
  }
}

const tellPrint = (entry: Entry, print: RequestPrint): void => {
  Deferred.doneUnsafe(entry.print, Effect.succeed(print))
  if (print.body !== undefined) Deferred.doneUnsafe(entry.body, Effect.succeed(print.body))
}

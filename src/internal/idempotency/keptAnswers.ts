/**
 * What is known of the requests that came with an idempotency key: those in progress, and the answers of the others for
 * a while.
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

/** What became of a request. `done`: its handler has ended; the answer is missing where it could not be kept. @internal */
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
  // It may be a part of something larger, or be written to again.
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
  /** Whose key it is. */
  readonly scope: string
  /** Of the first request; fails with the answer to all when the store can't tell. */
  readonly print: Deferred.Deferred<RequestPrint, HttpServerResponse.HttpServerResponse> = Deferred.makeUnsafe()
  /** Of the first request, once its body was read. */
  readonly body: Deferred.Deferred<BodyPrint> = Deferred.makeUnsafe()
  readonly outcome: Deferred.Deferred<Outcome> = Deferred.makeUnsafe()
  /** Ends its handler. */
  interrupt: (() => void) | undefined = undefined
  /** Those who wait for the answer. */
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

/** What one scope has: ended requests, and answers that are being recorded. */
class Holder {
  /** The oldest first. */
  readonly ids = new Set<string>()
  weight = 0
}

/** What a key weighs besides its answer, when it is about who has the most: about what it takes in memory. */
const keyWeight = 1024

interface Bounds {
  /** Keys. */
  readonly capacity: number
  /** Bytes of answers, and as many of request bodies. */
  readonly maxBytes: number
  /** Requests in progress whose callers have left. */
  readonly maxUnattended: number
  /** Milliseconds. */
  readonly timeToLive: number
}

/**
 * Bounded in keys, bytes and handlers that nobody waits for. Where one scope has far more than the others, it is that scope
 * which loses something.
 *
 * @internal
 */
export class Entries {
  readonly #bounds: Bounds
  readonly #running = new Map<string, Entry>()
  /** How many of them, by scope. */
  readonly #runningOf = new Map<string, number>()
  /** The oldest first. */
  readonly #ended = new Map<string, Kept>()
  readonly #holders = new Map<string, Holder>()
  /** The one that has, or had not long ago, the most. */
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
   * An entry for a new key. None when all are in progress (`full`), or when those of the scope are as many as there is room for
   * others (`share`): alone it takes half of the room, one of two a third, and others always find some.
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

  /** Takes memory for a request body. Nobody loses an answer for it. */
  holdBody(bytes: number): boolean {
    if (this.#bodyBytes + bytes > this.#bounds.maxBytes) return false
    this.#bodyBytes += bytes
    return true
  }

  releaseBody(bytes: number): void {
    this.#bodyBytes -= bytes
  }

  /** Takes memory for a part of an answer in progress, if need be from answers that were kept. */
  record(entry: Entry, bytes: number): boolean {
    if (!this.#makeRoom(entry.scope, bytes)) return false
    entry.recorded += bytes
    this.#answerBytes += bytes
    this.#weigh(entry.scope, bytes)
    return true
  }

  /** Nothing is known of the key, so that its first request begins. */
  begin(id: string, print: RequestPrint): void {
    const entry = this.#running.get(id)
    if (entry !== undefined) tellPrint(entry, print)
  }

  /** The request is over. It is remembered unless `now` is missing. */
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

  /** It never began. */
  cancel(id: string, answer: HttpServerResponse.HttpServerResponse): void {
    const entry = this.#stop(id)
    if (entry !== undefined) Deferred.doneUnsafe(entry.print, Effect.fail(answer))
  }

  /** Somebody waits for the answer. */
  attach(entry: Entry): void {
    if (entry.callers++ === 0) this.#attend(entry)
  }

  /** Somebody waits no more. Handlers that nobody waits for go on, but only so many. */
  detach(id: string, entry: Entry): void {
    if (--entry.callers > 0 || this.#running.get(id) !== entry) return
    const ofScope = this.#unattended.get(entry.scope) ?? new Set()
    this.#unattended.set(entry.scope, ofScope.add(entry))
    if (++this.#unattendedCount <= this.#bounds.maxUnattended) return
    let most = ofScope
    for (const entries of this.#unattended.values()) if (entries.size > most.size) most = entries
    // The newest: it has done the least.
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
   * Forgets the oldest answer: of the scope that has far more than the others, if there is one. Where that is the one that
   * asks, nobody else loses anything.
   */
  #evict(scope?: string): boolean {
    const { ids, weight } = this.#largest
    // By much, so that callers who have about the same lose what is the oldest.
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

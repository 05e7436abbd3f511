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

const Answer = Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record(Schema.String, Schema.String),
  cookies: Schema.Array(Schema.String),
  body: Schema.Uint8ArrayFromBase64
})

/** What became of a request. `done`: its handler has ended; the answer is missing where it could not be kept. @internal */
export const Outcome = Schema.Struct({
  fingerprint: Schema.String,
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

/** One key, from its first request on. @internal */
export class Entry {
  /** Of the first request; fails with the answer to all when the store can't tell. */
  readonly fingerprint: Deferred.Deferred<string, HttpServerResponse.HttpServerResponse> = Deferred.makeUnsafe()
  readonly outcome: Deferred.Deferred<Outcome> = Deferred.makeUnsafe()
}

/** At most `capacity` entries. @internal */
export class Entries {
  readonly #capacity: number
  readonly #timeToLive: number
  readonly #running = new Map<string, Entry>()
  /** The oldest first. */
  readonly #ended = new Map<string, { readonly entry: Entry; readonly expires: number }>()

  constructor(capacity: number, timeToLive: number) {
    this.#capacity = capacity
    this.#timeToLive = timeToLive
  }

  find(id: string, now: number): Entry | undefined {
    for (const [id, { expires }] of this.#ended) {
      if (expires > now) break
      this.#ended.delete(id)
    }
    return this.#running.get(id) ?? this.#ended.get(id)?.entry
  }

  /** An entry for a new key; none when all are in progress. */
  add(id: string): Entry | undefined {
    if (this.#running.size >= this.#capacity) return undefined
    if (this.#running.size + this.#ended.size >= this.#capacity) {
      for (const oldest of this.#ended.keys()) {
        this.#ended.delete(oldest)
        break
      }
    }
    const entry = new Entry()
    this.#running.set(id, entry)
    return entry
  }

  /** Nothing is known of the key, so that its first request begins. */
  begin(id: string, fingerprint: string): void {
    const entry = this.#running.get(id)
    if (entry !== undefined) Deferred.doneUnsafe(entry.fingerprint, Effect.succeed(fingerprint))
  }

  /** The request is over. It is remembered unless `now` is missing. */
  end(id: string, outcome: Outcome, now?: number): void {
    const entry = this.#running.get(id)
    if (entry === undefined) return
    this.#running.delete(id)
    if (now !== undefined) this.#ended.set(id, { entry, expires: now + this.#timeToLive })
    Deferred.doneUnsafe(entry.fingerprint, Effect.succeed(outcome.fingerprint))
    Deferred.doneUnsafe(entry.outcome, Effect.succeed(outcome))
  }

  /** It never began. */
  cancel(id: string, answer: HttpServerResponse.HttpServerResponse): void {
    const entry = this.#running.get(id)
    if (entry === undefined) return
    this.#running.delete(id)
    Deferred.doneUnsafe(entry.fingerprint, Effect.fail(answer))
  }
}

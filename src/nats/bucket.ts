/**
 * A bucket of NATS that is opened when it is used, and again when that has failed.
 */
import type { KV, KvWatchEntry } from "@nats-io/kv"
import type { NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"

/** While a node renews its record, it hears of itself every 5 seconds. */
const silence = "15 seconds"

/** @internal */
export class Bucket {
  readonly #connect: () => Promise<NatsConnection>
  readonly #open: (connection: NatsConnection) => Promise<KV>
  #connection: NatsConnection | undefined
  #kv: KV | undefined
  readonly #opening = Semaphore.makeUnsafe(1)

  constructor(connect: () => Promise<NatsConnection>, open: (connection: NatsConnection) => Promise<KV>) {
    this.#connect = connect
    this.#open = open
  }

  get #opened(): Effect.Effect<KV, unknown> {
    return Effect.suspend(() =>
      this.#kv === undefined ? this.#opening.withPermit(Effect.uninterruptible(this.#reopen)) : Effect.succeed(this.#kv)
    )
  }

  get #reopen(): Effect.Effect<KV, unknown> {
    return Effect.tryPromise(async () => {
      if (this.#kv !== undefined) return this.#kv
      if (this.#connection === undefined || this.#connection.isClosed()) this.#connection = await this.#connect()
      return this.#kv = await this.#open(this.#connection)
    })
  }

  /** It may have been lost with the server that had it. */
  readonly #failed = Effect.sync(() => {
    this.#kv = undefined
  })

  use(f: (kv: KV) => Promise<unknown>): Effect.Effect<void, unknown> {
    return Effect.asVoid(Effect.tapError(
      Effect.flatMap(this.#opened, (kv) => Effect.tryPromise(() => f(kv))),
      () => this.#failed
    ))
  }

  /** The entries there are, and those that are written. Fails when nothing comes for long: a server that was restarted tells nobody. */
  get watch(): Stream.Stream<KvWatchEntry, unknown> {
    const entries = Stream.unwrap(Effect.map(
      Effect.acquireRelease(
        Effect.flatMap(this.#opened, (kv) => Effect.tryPromise(() => kv.watch())),
        (iterator) => Effect.sync(() => iterator.stop())
      ),
      (iterator) => Stream.fromAsyncIterable(iterator, (error) => error)
    ))
    return Stream.tapError(
      Stream.timeoutOrElse(entries, {
        duration: silence,
        orElse: () => Stream.fail(new Error("nothing was heard of it"))
      }),
      () => this.#failed
    )
  }

  get close(): Effect.Effect<void> {
    return Effect.ignore(Effect.tryPromise(async () => this.#connection?.close()))
  }
}

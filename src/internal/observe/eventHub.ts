/**
 * Every subscriber gets every event in order; one that is slow loses some, is told how many, and holds up nobody. Failed
 * attempts go first: anybody can make a server have them.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import { Gate } from "../scheduling/gate.ts"

/** Events that wait for a slow subscriber before some are dropped. */
const eventCapacity = 4096

interface Subscriber<M> {
  readonly gate: Gate
  queue: Array<ConnectionEvent<M>>
  /** Failed attempts in the queue. */
  failures: number
  dropped: number
}

/** The oldest failed attempt, or else the oldest event. */
const drop = <M>(subscriber: Subscriber<M>): void => {
  subscriber.dropped++
  if (subscriber.failures === 0) {
    subscriber.queue.shift()
    return
  }
  subscriber.failures--
  subscriber.queue.splice(subscriber.queue.findIndex(({ _tag }) => _tag === "ConnectionAttemptFailed"), 1)
}

/** @internal */
export class EventHub<M> {
  readonly #subscribers = new Set<Subscriber<M>>()
  readonly #capacity: number

  constructor(capacity: number = eventCapacity) {
    this.#capacity = capacity
  }

  publish(event: ConnectionEvent<M>): void {
    for (const subscriber of this.#subscribers) {
      subscriber.queue.push(event)
      if (event._tag === "ConnectionAttemptFailed") subscriber.failures++
      if (subscriber.queue.length > this.#capacity) drop(subscriber)
      subscriber.gate.notify()
    }
  }

  /** The events from now on, after those that `replay` gives at the moment of subscribing. */
  stream(replay: () => ReadonlyArray<ConnectionEvent<M>>): Stream.Stream<ConnectionEvent<M>> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const subscriber: Subscriber<M> = { gate: new Gate(), queue: [], failures: 0, dropped: 0 }
      const clock = yield* Clock.Clock
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          subscriber.queue.push(...replay())
          this.#subscribers.add(subscriber)
        }),
        () => Effect.sync(() => this.#subscribers.delete(subscriber))
      )
      const take = Effect.sync((): NonEmptyReadonlyArray<ConnectionEvent<M>> => {
        const events = subscriber.queue
        subscriber.queue = []
        subscriber.failures = 0
        if (subscriber.dropped > 0) {
          events.unshift({ _tag: "EventsDropped", count: subscriber.dropped, at: clock.currentTimeMillisUnsafe() })
          subscriber.dropped = 0
        }
        return events as unknown as NonEmptyReadonlyArray<ConnectionEvent<M>>
      })
      const pull = Effect.andThen(subscriber.gate.until(() => subscriber.queue.length > 0), take)
      return Stream.fromPull(Effect.succeed(pull))
    }))
  }
}

/**
 * Every subscriber gets every event in order; one that is slow loses its oldest, is told how many, and holds up nobody.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ConnectionEvent } from "../ConnectionEvent.ts"
import { Gate } from "./gate.ts"

/** Events that wait for a slow subscriber before the oldest is dropped. */
const eventCapacity = 4096

interface Subscriber<M> {
  readonly gate: Gate
  queue: Array<ConnectionEvent<M>>
  dropped: number
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
      if (subscriber.queue.length > this.#capacity) {
        subscriber.queue.shift()
        subscriber.dropped++
      }
      subscriber.gate.notify()
    }
  }

  /** The events from now on, after those that `replay` gives at the moment of subscribing. */
  stream(replay: () => ReadonlyArray<ConnectionEvent<M>>): Stream.Stream<ConnectionEvent<M>> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const subscriber: Subscriber<M> = { gate: new Gate(), queue: [], dropped: 0 }
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

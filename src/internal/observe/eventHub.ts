/**
 * Publishes events to subscribers. Each gets all events in order. A slow one loses events and is told how many; it delays
 * neither the publisher nor other subscribers. Events of failed attempts and of exceeded quotas are dropped first, because any
 * stranger can cause them on a server.
 *
 * Effect's `PubSub.sliding` can do neither: it drops the oldest event, and does not tell how many were dropped.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ConnectionEvent } from "../../ConnectionEvent.ts"
import { Gate } from "../scheduling/gate.ts"

/** So many events are kept for a slow subscriber before the first is dropped. */
const eventCapacity = 4096

interface Subscriber<M> {
  readonly gate: Gate
  queue: Array<ConnectionEvent<M>>
  /** How many events that any stranger can cause are in the queue. */
  strangers: number
  dropped: number
}

/** Whether any stranger can cause such an event: a failed attempt, or an exceeded quota. */
const isOfStrangers = (event: ConnectionEvent<unknown>): boolean => !("metadata" in event)

/** Drops the oldest event that any stranger can cause, or else the oldest event. */
const drop = <M>(subscriber: Subscriber<M>): void => {
  subscriber.dropped++
  if (subscriber.strangers === 0) {
    subscriber.queue.shift()
    return
  }
  subscriber.strangers--
  subscriber.queue.splice(subscriber.queue.findIndex(isOfStrangers), 1)
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
      if (isOfStrangers(event)) subscriber.strangers++
      if (subscriber.queue.length > this.#capacity) drop(subscriber)
      subscriber.gate.notify()
    }
  }

  /** All events from now on. First come those that `replay` answers at the moment of subscribing. */
  stream(replay: () => ReadonlyArray<ConnectionEvent<M>>): Stream.Stream<ConnectionEvent<M>> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const subscriber: Subscriber<M> = { gate: new Gate(), queue: [], strangers: 0, dropped: 0 }
      const clock = yield* Clock.Clock
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          // Not by `push`: an engine takes some hundred thousand arguments at most.
          subscriber.queue = [...replay()]
          this.#subscribers.add(subscriber)
        }),
        () => Effect.sync(() => this.#subscribers.delete(subscriber))
      )
      const take = Effect.sync((): NonEmptyReadonlyArray<ConnectionEvent<M>> => {
        const events = subscriber.queue
        subscriber.queue = []
        subscriber.strangers = 0
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

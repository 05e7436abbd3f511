/**
 * A value that changes, as a stream of its latest states: a subscriber that is slow skips what was superseded.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Subscriber {
  /** The value it saw last is not the latest. */
  stale: boolean
  resume: (() => void) | undefined
}

/** @internal */
export class Changes<A> {
  readonly #subscribers = new Set<Subscriber>()
  readonly #current: () => A
  /** The value now, and after each change. */
  readonly stream: Stream.Stream<A>

  constructor(current: () => A) {
    this.#current = current
    this.stream = Stream.unwrap(Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const subscriber: Subscriber = { stale: true, resume: undefined }
          this.#subscribers.add(subscriber)
          return subscriber
        }),
        (subscriber) => Effect.sync(() => this.#subscribers.delete(subscriber))
      ),
      (subscriber) => Stream.fromPull(Effect.succeed(this.#next(subscriber)))
    ))
  }

  notify(): void {
    for (const subscriber of this.#subscribers) {
      subscriber.stale = true
      const resume = subscriber.resume
      subscriber.resume = undefined
      resume?.()
    }
  }

  #next(subscriber: Subscriber): Effect.Effect<readonly [A]> {
    const take = Effect.sync(() => {
      subscriber.stale = false
      return [this.#current()] as const
    })
    return Effect.callback((resume) => {
      if (subscriber.stale) return resume(take)
      subscriber.resume = () => resume(take)
      return Effect.sync(() => {
        subscriber.resume = undefined
      })
    })
  }
}

/**
 * A changing value as a stream of its states. A slow subscriber gets only the newest state, and skips those before it.
 *
 * Effect's `SubscriptionRef` keeps every state for a slow subscriber, without a bound.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Gate } from "../scheduling/gate.ts"

/** @internal */
export class Changes<A> {
  readonly #gate = new Gate()
  readonly #current: () => A
  #version = 0
  /** The current value, and then the value after each change. */
  readonly stream: Stream.Stream<A>

  constructor(current: () => A) {
    this.#current = current
    this.stream = Stream.suspend(() => Stream.fromPull(Effect.succeed(this.#subscribe())))
  }

  notify(): void {
    this.#version++
    this.#gate.notify()
  }

  #subscribe(): Effect.Effect<readonly [A]> {
    let seen = -1
    const take = Effect.sync(() => {
      seen = this.#version
      return [this.#current()] as const
    })
    return Effect.andThen(this.#gate.until(() => seen !== this.#version), take)
  }
}

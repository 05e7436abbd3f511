/**
 * Streams as events that listeners are called with.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ListenerOptions, Listening } from "./model.ts"

type Streams<Events> = { readonly [Type in keyof Events]: Stream.Stream<Events[Type]> }

interface Subscription {
  readonly type: PropertyKey
  readonly listener: unknown
  readonly end: () => void
}

/** Each listener is a subscriber of its own: it is told first what the stream says of the present, and a slow one is alone with it. */
export class Subscriptions<Events> implements Listening<Events> {
  readonly #streams: Streams<Events>
  readonly #context: Context.Context<never>
  readonly #all = new Set<Subscription>()
  #isOver = false

  constructor(streams: Streams<Events>, context: Context.Context<never>) {
    this.#streams = streams
    this.#context = context
  }

  // Fields, and not methods: users take them out of the object that has them.

  readonly on: Listening<Events>["on"] = (type, listener, options) =>
    this.#subscribe(type, this.#streams[type], listener, options)

  readonly once: Listening<Events>["once"] = (type, listener, options) =>
    this.#subscribe(type, this.#streams[type] && Stream.take(this.#streams[type], 1), listener, options)

  readonly off: Listening<Events>["off"] = (type, listener) => {
    for (const subscription of this.#all) {
      if (subscription.type === type && subscription.listener === listener) subscription.end()
    }
  }

  /** No listener is called any more. */
  end(): void {
    this.#isOver = true
    for (const { end } of this.#all) end()
  }

  #subscribe<A>(
    type: keyof Events,
    stream: Stream.Stream<A> | undefined,
    listener: (value: A) => unknown,
    { signal }: ListenerOptions = {}
  ): () => void {
    if (stream === undefined) {
      throw new TypeError(`no event ${JSON.stringify(type)}: there are ${Object.keys(this.#streams).join(", ")}`)
    }
    if (typeof listener !== "function") throw new TypeError(`the listener of ${JSON.stringify(type)} is no function`)
    if (this.#isOver || signal?.aborted === true) return () => {}
    const call = async (value: A) => {
      try {
        // A listener may remove itself while it is called with the first of several values.
        if (this.#all.has(subscription)) await listener(value)
      } catch (cause) {
        this.#log(Effect.logError(`a listener of ${JSON.stringify(type)} has failed`, cause))
      }
    }
    const end = () => {
      if (!this.#all.delete(subscription)) return
      signal?.removeEventListener("abort", end)
      fiber.interruptUnsafe()
    }
    const subscription: Subscription = { type, listener, end }
    this.#all.add(subscription)
    signal?.addEventListener("abort", end, { once: true })
    // Not before the caller goes on: it may not be ready to be called back.
    const fiber = Effect.runForkWith(this.#context)(Effect.andThen(
      Effect.yieldNow,
      Stream.runForEach(stream, (value) => Effect.sync(() => void call(value)))
    ))
    fiber.addObserver(end)
    return end
  }

  #log(line: Effect.Effect<void>): void {
    Effect.runForkWith(this.#context)(Effect.annotateLogs(line, { module: "promise", method: "on" }))
  }
}

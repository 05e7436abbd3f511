/**
 * Events of connections, kept from the start so that no test misses one.
 */
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { until } from "./waiting.ts"

export type Event<M = unknown> = ConnectionEvent.ConnectionEvent<M>

/** Keeps what happens from now on. */
export const keepEvents = Effect.fnUntraced(function*<M>(
  stream: Stream.Stream<Event<M>>,
  seen?: (event: Event<M>) => void
): Effect.fn.Return<Array<Event<M>>, never, Scope.Scope> {
  const events: Array<Event<M>> = []
  yield* Effect.forkScoped(
    Stream.runForEach(stream, (event) =>
      Effect.sync(() => {
        events.push(event)
        seen?.(event)
      })),
    { startImmediately: true }
  )
  return events
})

export const countTags = (events: ReadonlyArray<Event>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { _tag } of events) counts[_tag] = (counts[_tag] ?? 0) + 1
  return counts
}

export interface Recorded<M> {
  /** Keeps none of the events so far: a test of thousands of connections would count them as memory. */
  readonly forget: () => void
  readonly events: () => ReadonlyArray<Event<M>>
  /** The next event of a kind; others before it are passed over. */
  readonly expectEvent: <Tag extends Event["_tag"]>(
    tag: Tag
  ) => Effect.Effect<Extract<Event<M>, { readonly _tag: Tag }>>
}

/** Keeps what happens from now on, and waits for events. */
export const record = Effect.fnUntraced(function*<M>(
  stream: Stream.Stream<Event<M>>
): Effect.fn.Return<Recorded<M>, never, Scope.Scope> {
  const events = yield* keepEvents(stream)
  let seen = 0
  const describe = (event: Event<M>) => "error" in event ? `${event._tag} ${event.error.message}` : event._tag
  return {
    forget() {
      events.length = 0
      seen = 0
    },
    events: () => events,
    expectEvent: <Tag extends Event<M>["_tag"]>(tag: Tag) =>
      Effect.suspend(() => {
        type Expected = Extract<Event<M>, { readonly _tag: Tag }>
        const next = () => events.slice(seen).find((event): event is Expected => event._tag === tag)
        return until(`the event ${tag}`, () => next() !== undefined).pipe(
          Effect.catchDefect((defect) =>
            Effect.die(new Error(`${String(defect)}; events so far: ${events.map(describe).join(", ") || "none"}`))
          ),
          Effect.map(() => {
            const event = next()!
            seen = events.indexOf(event) + 1
            return event
          })
        )
      })
  }
})

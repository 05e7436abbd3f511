/**
 * What happened to connections, kept from the start so that no test misses an event.
 */
import type * as ConnectionEvent from "effect-swaggersocket/ConnectionEvent"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { limit } from "./rawPeer.ts"

/** Waits until something is so, looking again and again. */
export const until = (what: string, condition: () => boolean, millis = limit): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const end = performance.now() + millis
    let timer: NodeJS.Timeout | undefined = undefined
    const look = () => {
      if (condition()) return resume(Effect.void)
      if (performance.now() > end) return resume(Effect.die(new Error(`${what}: not within ${millis} ms`)))
      timer = setTimeout(look, 2)
    }
    look()
    return Effect.sync(() => clearTimeout(timer))
  })

/** Looks between two timers of this process, without a change, after which a number is taken to change no more. */
const looksWithoutChange = 150

/**
 * Waits until a number does not change any more. Looks are counted rather than milliseconds: a process that others keep
 * from running looks less often, too.
 */
export const settled = (what: string, read: () => number): Effect.Effect<number> =>
  Effect.suspend(() => {
    let last = read()
    let looks = 0
    return Effect.map(
      until(`${what} settles`, () => {
        const next = read()
        looks = next === last ? looks + 1 : 0
        last = next
        return looks > looksWithoutChange
      }),
      () => last
    )
  })

/** An effect that must end within a limit. */
export const within = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>, millis = limit) =>
  Effect.timeoutOrElse(effect, {
    duration: millis,
    orElse: () => Effect.die(new Error(`${what}: not within ${millis} ms`))
  })

export interface Recorded<M> {
  /** Keeps none of the events so far: a test of thousands of connections would count them as memory. */
  readonly forget: () => void
  readonly events: () => ReadonlyArray<ConnectionEvent.ConnectionEvent<M>>
  /** The next event of a kind; others before it are passed over. */
  readonly expectEvent: <Tag extends ConnectionEvent.ConnectionEvent["_tag"]>(
    tag: Tag
  ) => Effect.Effect<Extract<ConnectionEvent.ConnectionEvent<M>, { readonly _tag: Tag }>>
}

export const record = Effect.fnUntraced(function*<M>(
  stream: Stream.Stream<ConnectionEvent.ConnectionEvent<M>>
): Effect.fn.Return<Recorded<M>, never, Scope.Scope> {
  type Event = ConnectionEvent.ConnectionEvent<M>
  const events: Array<Event> = []
  let seen = 0
  yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Effect.sync(() => events.push(event))), {
    startImmediately: true
  })
  const describe = (event: Event) => "error" in event ? `${event._tag} ${event.error.message}` : event._tag
  return {
    forget() {
      events.length = 0
      seen = 0
    },
    events: () => events,
    expectEvent: <Tag extends Event["_tag"]>(tag: Tag) =>
      Effect.suspend(() => {
        type Expected = Extract<Event, { readonly _tag: Tag }>
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

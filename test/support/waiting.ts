/**
 * Waiting for what is to come about, without guessing how long it takes.
 */
import * as Effect from "effect/Effect"

/** How long anything may take: what takes longer has failed. */
export const limit = 20_000

/** A turn of the event loop. */
export const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Looks once each turn of the event loop until `check` does not throw; after 20 seconds its error is the test's. Where much is to
 * happen, `progress` tells how far it is: the time begins anew whenever that changes, as a busy machine takes longer.
 */
export const eventually = Effect.fnUntraced(function*(check: () => void, progress?: () => number) {
  let since = performance.now()
  let last = progress?.()
  while (true) {
    try {
      return check()
    } catch (error) {
      const now = progress?.()
      if (now !== last) since = performance.now()
      last = now
      if (performance.now() - since > limit) throw error
    }
    yield* turn
  }
})

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

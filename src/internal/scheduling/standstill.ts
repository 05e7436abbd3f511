/**
 * Detects that something makes no progress any more.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Progress is checked so many times in a period. */
const looks = 4

/**
 * Ends when `progress` has answered the same value for `period`. `undefined` counts as progress: it can't be measured at the
 * moment.
 *
 * @internal
 */
export const standstill = (
  progress: () => number | string | undefined,
  period: Duration.Duration
): Effect.Effect<void> => {
  const pause = Effect.sleep(Duration.toMillis(period) / looks)
  let before: number | string | undefined = undefined
  let unchanged = 0
  const look: Effect.Effect<void> = Effect.suspend(() => {
    const now = progress()
    unchanged = now !== undefined && now === before ? unchanged + 1 : 0
    before = now
    return unchanged < looks ? Effect.andThen(pause, look) : Effect.void
  })
  return look
}

/**
 * Waiting for what may have come to a standstill.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** How often is looked within the time after which nothing is expected any more. */
const looks = 4

/**
 * Ends when `progress` has answered the same for `period`; `undefined`: there may be progress that can't be seen.
 *
 * @internal
 */
export const standstill = (
  progress: () => number | string | undefined,
  period: Duration.Duration
): Effect.Effect<void> => {
  const pause = Effect.sleep(Duration.divideUnsafe(period, looks))
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

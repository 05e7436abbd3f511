/**
 * Web Locks that tell when the other end is gone: a browser releases those of a page that is closed, or whose process has died.
 */
import * as Effect from "effect/Effect"

/** Holds a lock of a name that nobody else has, until the scope closes. */
export const hold = (locks: LockManager, name: string) =>
  Effect.acquireRelease(
    Effect.callback<() => void>((resume) => {
      void locks.request(name, () => new Promise<void>((release) => resume(Effect.succeed(release))))
    }),
    (release) => Effect.sync(release)
  )

/** Calls back when whoever holds a lock is gone, unless the scope closes before. */
export const onReleased = (locks: LockManager, name: string, gone: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const waiting = new AbortController()
      // It rejects when it is aborted.
      locks.request(name, { signal: waiting.signal }, gone).catch(() => {})
      return waiting
    }),
    (waiting) => Effect.sync(() => waiting.abort())
  )

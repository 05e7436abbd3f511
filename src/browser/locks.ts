/**
 * Web Locks that tell when the other end is gone: a browser releases those of a page that is closed, or whose process has died.
 */
import * as Effect from "effect/Effect"
import { linkFailure } from "../internal/link/linkErrors.ts"
import type { SwaggerSocketError } from "../SwaggerSocketError.ts"

/** Holds a lock of a name that nobody else has, until the scope closes. Fails where a page may have none, as in a sandbox. */
export const hold = (locks: LockManager, name: string) =>
  Effect.acquireRelease(
    Effect.callback<() => void, SwaggerSocketError>((resume) => {
      locks.request(name, () => new Promise<void>((release) => resume(Effect.succeed(release)))).catch((cause) =>
        resume(Effect.fail(linkFailure("open", `there are no Web Locks here: ${String(cause)}`, cause)))
      )
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

/**
 * Locks by which tabs and their shared worker notice each other's end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { hold } from "../../src/browser/locks.ts"

describe("locks of a page", () => {
  it.effect("a page that may have none, as in a sandbox, is told so: it waited for ever", () =>
    Effect.gen(function*() {
      const refused = new DOMException("The request was denied.", "SecurityError")
      const locks = { request: () => Promise.reject(refused) } as unknown as LockManager
      const error = yield* Effect.flip(Effect.scoped(hold(locks, "a lock")))
      assert.match(error.message, /there are no Web Locks here: SecurityError: The request was denied\./)
    }))

  it.effect("a lock is held until the scope closes", () =>
    Effect.gen(function*() {
      let isHeld = false
      const locks = {
        request: async (_: string, callback: () => Promise<void>) => {
          isHeld = true
          await callback()
          isHeld = false
        }
      } as unknown as LockManager
      yield* Effect.scoped(Effect.andThen(hold(locks, "a lock"), Effect.sync(() => assert.isTrue(isHeld))))
      yield* Effect.promise(() => Promise.resolve())
      assert.isFalse(isHeld)
    }))
})

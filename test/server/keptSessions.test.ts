/**
 * Links that are handed to a connection which has not come to take them, without sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { sessionLost } from "../../src/internal/connection/endErrors.ts"
import type { Attachment, ConnectionDriver } from "../../src/internal/connection/types.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { KeptSession } from "../../src/internal/server/keptSessions.ts"
import { Session } from "../../src/internal/session/session.ts"
import { Tokens } from "../../src/internal/session/token.ts"

const makeKept = (): KeptSession<null, null> => {
  const driver = { now: "interrupted", principal: null, dropLink() {} } as unknown as ConnectionDriver<null, null>
  return new KeptSession(driver, new Session(1000, 1000), new Tokens(() => "token"), 60_000)
}

/** A link, and what was done to it. */
const makeLink = () => {
  const log: Array<string> = []
  const attachment: Attachment = {
    link: { close: (code: number, reason: string) => log.push(`close ${code} ${reason}`) } as unknown as Link,
    roundTrip: 0,
    received: 0,
    release: Effect.sync(() => {
      log.push("release")
    })
  }
  return { attachment, log }
}

describe("link that a connection has not taken yet", () => {
  it.effect("a link that a connection has not taken yet is closed by a later handshake, whose link is taken instead", () =>
    Effect.gen(function*() {
      const kept = makeKept()
      const [older, newer] = [makeLink(), makeLink()]
      const first = kept.supersede(1)
      // The connection has not let go of its last link yet.
      assert.isUndefined(kept.hand(first, older.attachment))
      const second = kept.supersede(2)
      assert.deepStrictEqual(older.log, ["close 4109 REPLACED", "release"])
      const waiting = yield* Effect.forkChild(kept.awaitNext(), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe(), "the older link is none for the connection")
      assert.isUndefined(kept.hand(second, newer.attachment))
      assert.strictEqual(yield* Fiber.join(waiting), newer.attachment)
      assert.deepStrictEqual(newer.log, [])
    }))

  it.effect("a link that a connection has not taken yet is closed when the connection is given up", () =>
    Effect.gen(function*() {
      const kept = makeKept()
      const { attachment, log } = makeLink()
      assert.isUndefined(kept.hand(kept.supersede(1), attachment))
      const lost = sessionLost("expired", undefined)
      kept.giveUp(lost)
      assert.deepStrictEqual(log, ["close 4108 RESUME_REJECTED", "release"])
      assert.strictEqual(yield* Effect.flip(kept.awaitNext()), lost)
    }))
})

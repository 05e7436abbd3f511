/**
 * Links that are handed to a connection which has not come to take them, without sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Attachment } from "../../src/internal/connection/attachment.ts"
import { sessionLost } from "../../src/internal/connection/endErrors.ts"
import type { ConnectionDriver } from "../../src/internal/connection/types.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { KeptSession } from "../../src/internal/server/keptSession.ts"
import { Session } from "../../src/internal/session/session.ts"
import { Tokens } from "../../src/internal/session/token.ts"

const makeKept = (dropLink: () => void = () => {}): KeptSession<null, null> => {
  const driver = {
    now: "interrupted",
    principal: null,
    untilFinished: () => Effect.void,
    dropLink
  } as unknown as ConnectionDriver<null, null>
  return new KeptSession(driver, new Session(1000, 1000), new Tokens("token"), 60_000, Scope.makeUnsafe())
}

/** A link, and what was done to it. */
const makeLink = () => {
  const log: Array<string> = []
  const link = { close: (code: number, reason: string) => log.push(`close ${code} ${reason}`) } as unknown as Link
  const close = Effect.sync(() => {
    log.push("release")
  })
  const attachment = new Attachment(link, close, 0, 0)
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
      const waiting = yield* Effect.forkChild(kept.take(), { startImmediately: true })
      assert.isUndefined(waiting.pollUnsafe(), "the older link is none for the connection")
      assert.isUndefined(kept.hand(second, newer.attachment))
      assert.strictEqual(yield* Fiber.join(waiting), newer.attachment)
      assert.deepStrictEqual(newer.log, [])
    }))

  it.effect("a link that a connection has taken is dropped when it is used if a handshake has begun in between", () =>
    Effect.gen(function*() {
      let dropped = 0
      const kept = makeKept(() => {
        dropped++
      })
      kept.hand(kept.supersede(1), makeLink().attachment)
      yield* kept.take()
      kept.attached()
      assert.strictEqual(dropped, 1, "by the handshake, when it began")
      kept.hand(kept.supersede(2), makeLink().attachment)
      yield* kept.take()
      kept.supersede(3)
      kept.attached()
      assert.strictEqual(dropped, 4, "by both handshakes, when they began, and by the connection")
    }))

  it.effect("a link that a connection has not taken yet is closed when the connection is given up", () =>
    Effect.gen(function*() {
      const kept = makeKept()
      const { attachment, log } = makeLink()
      assert.isUndefined(kept.hand(kept.supersede(1), attachment))
      const lost = sessionLost("expired", undefined)
      kept.giveUp(lost)
      assert.deepStrictEqual(log, ["close 4108 RESUME_REJECTED", "release"])
      assert.strictEqual(yield* Effect.flip(kept.take()), lost)
    }))
})

describe("each event in each state of a session that is kept", () => {
  const lost = sessionLost("expired", undefined)

  /** A session in each state, the handshake that was let in last, and the link that was handed over. */
  const states = {
    Vacant() {
      const kept = makeKept()
      return { kept, handshake: kept.supersede(1), ...makeLink() }
    },
    HandedOver() {
      const vacant = states.Vacant()
      assert.isUndefined(vacant.kept.hand(vacant.handshake, vacant.attachment))
      return vacant
    },
    GivenUp() {
      const vacant = states.Vacant()
      vacant.kept.giveUp(lost)
      return vacant
    }
  }

  const table = {
    Vacant: { hand: undefined, handLate: "REPLACED", taken: undefined, superseded: [], givenUp: [] },
    HandedOver: {
      hand: undefined,
      handLate: "REPLACED",
      taken: "the link",
      superseded: ["close 4109 REPLACED", "release"],
      givenUp: ["close 4108 RESUME_REJECTED", "release"]
    },
    GivenUp: { hand: "RESUME_REJECTED", handLate: "RESUME_REJECTED", taken: lost, superseded: [], givenUp: [] }
  }

  for (const name of ["Vacant", "HandedOver", "GivenUp"] as const) {
    const make = states[name]
    const expected = table[name]

    it(`${name}: the link of the last handshake is handed over unless the session is given up, and no other`, () => {
      const { handshake, kept, log } = make()
      const late = makeLink()
      assert.strictEqual(kept.hand(handshake - 1, late.attachment), expected.handLate)
      assert.deepStrictEqual([late.log, log], [[], []], "a link that is not taken is closed by whoever hands it over")
      assert.strictEqual(kept.hand(handshake, late.attachment), expected.hand)
      assert.deepStrictEqual(log, expected.superseded)
    })

    it.effect(`${name}: taking the next link waits, answers it once, or fails`, () =>
      Effect.gen(function*() {
        const { attachment, kept, log } = make()
        const take = () => Effect.forkChild(Effect.result(kept.take()), { startImmediately: true })
        const taken = (yield* take()).pollUnsafe()
        const result = taken?._tag === "Success" ? taken.value : undefined
        const value = result?._tag === "Success" ? result.success : result?.failure
        assert.strictEqual(value, expected.taken === "the link" ? attachment : expected.taken)
        const again = (yield* take()).pollUnsafe()
        assert.strictEqual(again === undefined, name !== "GivenUp", "a link is taken once")
        assert.deepStrictEqual(log, [])
      }))

    it(`${name}: a handshake that begins closes a link that was not taken`, () => {
      const { kept, log } = make()
      kept.supersede(2)
      assert.deepStrictEqual(log, expected.superseded)
      assert.isTrue(kept.isSuperseded(2))
      assert.isFalse(kept.isSuperseded(3))
    })

    it(`${name}: giving up closes a link that was not taken, with a code that tells why`, () => {
      const { kept, log } = make()
      kept.giveUp(lost)
      assert.deepStrictEqual(log, expected.givenUp)
      const replaced = make()
      replaced.kept.replaced()
      replaced.kept.giveUp(lost)
      assert.deepStrictEqual(
        replaced.log.slice(0, 1),
        expected.givenUp.slice(0, 1).map(() => "close 4111 IDENTITY_REPLACED")
      )
      assert.strictEqual(replaced.kept.hand(replaced.handshake, replaced.attachment), "IDENTITY_REPLACED")
    })
  }
})

/**
 * What is read ahead during a handshake, so that the end of the link is seen, is given to the connection afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { forHandshake } from "../../src/internal/handshake/handshakeLink.ts"
import * as memoryLink from "../../src/internal/link/memoryLink.ts"
import { settle } from "../support/memoryPeer.ts"

describe("readAhead", () => {
  it.effect("a request that came during the handshake is given at once, and not when the next message comes", () =>
    Effect.gen(function*() {
      const [near, far] = memoryLink.makePair()
      const { rest, whileOpen } = forHandshake(near, yield* Clock.Clock, 65_536, yield* Effect.scope)
      const sent = (message: string) => Effect.andThen(Effect.sync(() => void far.send(message)), settle)
      // As authentication that takes its time.
      yield* whileOpen(sent("request"))
      const link = rest()
      const first = yield* Effect.forkScoped(link.pull)
      yield* settle
      assert.deepStrictEqual(first.pollUnsafe(), Exit.succeed(["request"]))
      const second = yield* Effect.forkScoped(link.pull)
      yield* sent("another")
      assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed(["another"]))
    }))
})

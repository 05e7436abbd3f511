/**
 * Claims about how a link ends: closed by an end, lost, or released with its scope.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as assert from "../assert.ts"
import {
  assertClosed,
  assertLost,
  assertMessages,
  bytes,
  type Case,
  type Ends,
  makeCase,
  send,
  turn,
  untilEnd,
  untilRoom,
  waiting,
  within
} from "./ends.ts"

/** 123 bytes, the longest that a reason may be. */
const longReason = `${"é".repeat(60)}abc`

/** Whatever is done with a link that has ended, nothing is thrown, and it stays full. */
const assertEnded = ({ far, near }: Ends) =>
  Effect.gen(function*() {
    for (const link of [near, far]) {
      assert.isTrue(link.isFull(), "a link that has ended has room")
      link.send("nobody gets this")
      link.cork?.()
      link.send(bytes(10))
      link.uncork?.()
      link.onRoom(() => {})
      link.close(4000, "again")
      link.terminate()
      link.terminate()
      yield* within("a pull fails again", Effect.flip(link.pull))
    }
  })

const closes = (code: number, reason: string): Case =>
  makeCase(
    `a close with ${code} and ${reason.length} characters is seen at the other end, and answered`,
    (ends) =>
      Effect.gen(function*() {
        const { far, near } = ends
        const reader = yield* waiting(far)
        near.close(code, reason)
        assertClosed(yield* Effect.flip(within("the reader is told", Fiber.join(reader))), code, reason)
        assertClosed((yield* untilEnd(near)).error, code)
        assertClosed((yield* untilEnd(far)).error, code, reason)
        yield* assertEnded(ends)
      })
  )

export const endingCases: ReadonlyArray<Case> = [
  closes(1000, ""),
  closes(4103, "expected a string at name"),
  closes(4999, longReason),
  makeCase("messages that are sent before a close arrive before it", ({ far, near }) =>
    Effect.gen(function*() {
      const messages = Array.from({ length: 6 }, (_, index) => bytes(20_000, index))
      for (const message of messages) send(near, message)
      near.close(1000, "enough")
      const [, { error, received }] = yield* Effect.all([untilEnd(near), untilEnd(far)], { concurrency: "unbounded" })
      assertMessages(received, messages)
      assertClosed(error, 1000, "enough")
    })),
  makeCase("both ends may close at once", (ends) =>
    Effect.gen(function*() {
      const { far, near } = ends
      near.close(1000, "")
      far.close(1001, "")
      for (const link of [near, far]) {
        const { reason } = (yield* untilEnd(link)).error
        assert.isTrue(reason._tag === "SocketCloseError" && [1000, 1001].includes(reason.code), String(reason))
      }
      yield* assertEnded(ends)
    })),
  makeCase("a link that is given up is lost for both ends", (ends) =>
    Effect.gen(function*() {
      const { far, near } = ends
      const readers = [yield* waiting(near), yield* waiting(far)]
      near.terminate()
      for (const reader of readers) assertLost(yield* Effect.flip(within("a reader is told", Fiber.join(reader))))
      yield* assertEnded(ends)
    })),
  makeCase(
    "a full link that is given up is lost for both ends, and nothing arrives behind a gap",
    ({ far, near }) =>
      Effect.gen(function*() {
        const messages = Array.from({ length: 2048 }, (_, index) => bytes(16_384, index))
        let sent = 0
        for (; sent < messages.length && !near.isFull(); sent++) {
          send(near, messages[sent]!)
          if (sent % 8 === 7) yield* turn
        }
        near.terminate()
        assertLost((yield* untilEnd(near)).error)
        const { error, received } = yield* untilEnd(far)
        assertLost(error)
        assertMessages(received, messages.slice(0, received.length))
      })
  ),
  makeCase("an end that is given up while the other one writes is lost for both", (ends) =>
    Effect.gen(function*() {
      const { far, near } = ends
      const message = bytes(1000)
      const writer = yield* Effect.forkScoped(
        Effect.forever(Effect.andThen(untilRoom(near), Effect.sync(() => near.send(message))))
      )
      yield* turn
      far.terminate()
      assertLost((yield* untilEnd(near)).error)
      assertLost((yield* untilEnd(far)).error)
      yield* Fiber.interrupt(writer)
      yield* assertEnded(ends)
    })),
  {
    title: "closing the scope ends both ends and those who read them",
    run: (makeEnds) =>
      Effect.scoped(Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { far, near } = yield* Scope.provide(makeEnds, scope)
        send(near, "hello")
        send(far, "hello")
        const readers = [yield* Effect.forkScoped(untilEnd(near)), yield* Effect.forkScoped(untilEnd(far))]
        yield* turn
        yield* within("the scope closes", Scope.close(scope, Exit.void))
        for (const reader of readers) yield* Fiber.join(reader)
        assert.isTrue(near.isFull() && far.isFull(), "a link of a closed scope has room")
      }))
  }
]

/**
 * Tasks at the end of a turn of the event loop.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { atEndOfTurn, sendAtEndOfTurn } from "../../src/internal/scheduling/endOfTurn.ts"
import { inTurnToBegin, nextTurn } from "../../src/internal/scheduling/turn.ts"

it.live.each(
  [
    ["at the end of a turn", atEndOfTurn],
    ["that sends", sendAtEndOfTurn],
    ["in the next turn", nextTurn],
    ["that begins something", (task: () => void) => nextTurn(() => inTurnToBegin(task))]
  ] as const
)("a task %s that throws stops neither the other tasks nor the process", ([, schedule]) =>
  Effect.gen(function*() {
    const ran: Array<string> = []
    const thrown: Array<unknown> = []
    const onError = (error: unknown) => thrown.push(error)
    process.on("uncaughtException", onError)
    yield* Effect.addFinalizer(() => Effect.sync(() => process.off("uncaughtException", onError)))
    schedule(() => ran.push("first"))
    schedule(() => {
      throw new Error("a task of the test that throws")
    })
    schedule(() => ran.push("last"))
    yield* Effect.sleep(10)
    assert.deepStrictEqual(ran, ["first", "last"])
    schedule(() => ran.push("another turn"))
    yield* Effect.sleep(10)
    assert.deepStrictEqual(ran, ["first", "last", "another turn"])
    assert.deepStrictEqual(thrown, [])
  }).pipe(Effect.scoped))

it.live("links send once, behind all that was to run at the end of the turn", () =>
  Effect.gen(function*() {
    const ran: Array<string> = []
    sendAtEndOfTurn(() => ran.push("send"))
    atEndOfTurn(() => {
      ran.push("task")
      atEndOfTurn(() => ran.push("task of the next microtask"))
    })
    yield* Effect.sleep(10)
    assert.deepStrictEqual(ran, ["task", "send", "task of the next microtask"])
  }))

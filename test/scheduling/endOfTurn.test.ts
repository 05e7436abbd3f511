import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { atEndOfTurn } from "../../src/internal/scheduling/endOfTurn.ts"

it.live("a task that throws at the end of a turn stops neither the other tasks nor the process", () =>
  Effect.gen(function*() {
    const ran: Array<string> = []
    const thrown: Array<unknown> = []
    const onError = (error: unknown) => thrown.push(error)
    process.on("uncaughtException", onError)
    yield* Effect.addFinalizer(() => Effect.sync(() => process.off("uncaughtException", onError)))
    atEndOfTurn(() => ran.push("first"))
    atEndOfTurn(() => {
      throw new Error("a task of the test that throws")
    })
    atEndOfTurn(() => ran.push("last"))
    yield* Effect.sleep(1)
    assert.deepStrictEqual(ran, ["first", "last"])
    atEndOfTurn(() => ran.push("another turn"))
    yield* Effect.sleep(1)
    assert.deepStrictEqual(ran, ["first", "last", "another turn"])
    assert.deepStrictEqual(thrown, [])
  }).pipe(Effect.scoped))

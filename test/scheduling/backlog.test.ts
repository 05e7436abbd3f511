/**
 * Many steps of one kind, beside what else there is to do.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Backlog } from "../../src/internal/scheduling/backlog.ts"
import { nextTurn } from "../../src/internal/scheduling/turn.ts"
import { turn, until } from "../support/waiting.ts"

const busy = (millis: number): void => {
  const end = performance.now() + millis
  while (performance.now() < end);
}

it.live("steps keep their order, and others have their turns between them", () =>
  Effect.gen(function*() {
    // A turn of its own.
    yield* turn
    yield* turn
    const done: Array<number | string> = []
    const backlog = new Backlog()
    for (let n = 0; n < 30; n++) {
      backlog.add(() => {
        busy(3)
        done.push(n)
        // What a step adds comes behind all others.
        if (n === 0) backlog.add(() => done.push("last"))
      })
    }
    nextTurn(() => done.push("another"))
    yield* until("all are done", () => done.length === 32)
    assert.isBelow(done.indexOf("another"), 20)
    const steps = done.filter((step) => step !== "another")
    assert.sameMembers(steps, [...Array.from({ length: 30 }, (_, n) => n), "last"])
    assert.deepStrictEqual(steps.filter((step) => step !== "last"), Array.from({ length: 30 }, (_, n) => n))
  }))

it.live("a step that throws is logged, and the next ones run", () =>
  Effect.gen(function*() {
    const done: Array<string> = []
    const backlog = new Backlog()
    backlog.add(() => {
      throw new Error("a bug")
    })
    backlog.add(() => done.push("next"))
    yield* until("the next one has run", () => done.length === 1)
  }))

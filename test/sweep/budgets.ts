/**
 * Tests under other schedules: Effect's run loop lets other fibers run after a number of steps, 2,048 unless told otherwise.
 * With few steps it does so between any two of them sooner or later, and finds code that takes two steps for one.
 *
 * `BUDGETS=64 npx vitest run sweep` tries 64 numbers of steps instead of 8, and everything with each.
 */
import { afterAll, beforeAll, describe } from "@effect/vitest"
import { MixedScheduler } from "effect/Scheduler"
import { extent } from "../support/extent.ts"

/** With fewer steps Effect's own run loop makes no progress. */
const least = 4

/** How many are asked for; 0 for a few. */
const asked = extent("BUDGETS", 0, 64)
const given = asked === 0 ? undefined : asked

const budgets = given === undefined
  ? [6, 8, 9, 11, 15, 20, 33, 47]
  : Array.from({ length: given }, (_, index) => least + index)

const { shouldYield } = MixedScheduler.prototype

/** Of the first budgets, where those that a run tries begin: the titles say which they are. */
const first = Math.random()

/** Which way to connect is the first. */
const shift = Math.floor(Math.random() * 100)

/**
 * Registers the tests of `register` once for each budget, or for one of `each` where they take long; all where budgets
 * were asked for. `turn` counts them.
 */
export const sweep = (
  register: (budget: number, turn: number) => void | Promise<void>,
  { each = 1 }: { readonly each?: 1 | 2 | 4 } = {}
): void => {
  const own = budgets.filter((_, index) => given !== undefined || index % each === Math.floor(first * each))
  for (const [turn, budget] of own.entries()) {
    describe(`with other fibers after every ${budget} steps`, () => {
      // All fibers of the process, whatever context they run with.
      beforeAll(() => {
        MixedScheduler.prototype.shouldYield = (fiber) => fiber.currentOpCount >= budget
      })
      afterAll(() => {
        MixedScheduler.prototype.shouldYield = shouldYield
      })
      return register(budget, turn)
    })
  }
}

/** One of the ways to connect, another each turn, as they share most of the code; all where budgets were asked for. */
export const portion = <A>(all: Readonly<Record<string, A>>, turn: number): Array<[string, A]> => {
  const entries = Object.entries(all)
  return given === undefined ? [entries[(turn + shift) % entries.length]!] : entries
}

/** Registers the tests of a file, which is given the number of steps to be another module each time. */
export const registerFile = async (url: URL, budget: number): Promise<void> => {
  await import(/* @vite-ignore */ `${url.pathname}?budget=${budget}`)
}

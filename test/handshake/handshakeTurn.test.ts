/**
 * How clients that dial at once share the turns of the event loop.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { handshakeTurn, UpgradeLine } from "../../src/internal/handshake/handshakeTurn.ts"
import { isTurnOver } from "../../src/internal/scheduling/turn.ts"

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Uses up what links may take of this turn. */
const exhaust = () => {
  while (!isTurnOver(16 * 1024)) Math.random()
}

describe("handshakes", () => {
  it("go on at once while there is time", async () => {
    await aTurn()
    let done = false
    Effect.runFork(Effect.andThen(handshakeTurn, Effect.sync(() => done = true)))
    assert.isTrue(done)
  })

  it("wait in the order of arrival once the turn is over, and take no more than their time of the next ones", async () => {
    exhaust()
    const order: Array<number> = []
    const step = (name: number) =>
      Effect.runFork(Effect.andThen(
        handshakeTurn,
        Effect.sync(() => {
          order.push(name)
          exhaust()
        })
      ))
    for (const name of [1, 2, 3]) step(name)
    assert.deepStrictEqual(order, [])
    for (const expected of [[1], [1, 2], [1, 2, 3]]) {
      await aTurn()
      assert.deepStrictEqual(order, expected)
    }
    await aTurn()
  })
})

describe("upgrades that wait", () => {
  it("are bounded, and leave when their socket is lost or their turn has come", async () => {
    exhaust()
    const line = new UpgradeLine(2)
    const taken: Array<number> = []
    const wait = (name: number) => Effect.runFork(Effect.andThen(line.turn, Effect.sync(() => taken.push(name))))
    const lost = wait(1)
    assert.isFalse(line.isFull)
    wait(2)
    assert.isTrue(line.isFull)
    await Effect.runPromise(Fiber.interrupt(lost))
    assert.isFalse(line.isFull)
    wait(3)
    assert.isTrue(line.isFull)
    await aTurn()
    await aTurn()
    assert.deepStrictEqual(taken, [2, 3])
    assert.isFalse(line.isFull)
  })
})

/**
 * How links share the turns of the event loop with everything else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { closedLocally } from "../../src/internal/connection/endErrors.ts"
import { isTurnOverAfter, readAll } from "../../src/internal/connection/reader.ts"
import type { Link } from "../../src/internal/link/link.ts"
import { Gate } from "../../src/internal/scheduling/gate.ts"
import {
  awaitStep,
  inTurn,
  inTurnToBegin,
  isTurnOver,
  nextTurn,
  nextTurnToSend
} from "../../src/internal/scheduling/turn.ts"
import type { Multiplexed } from "../../src/internal/streams/multiplexed.ts"
import { zeroCounters } from "../../src/internal/streams/settings.ts"

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Uses up what links may take of this turn. */
const exhaust = () => {
  while (!isTurnOver(16 * 1024)) Math.random()
}

describe("turns", () => {
  it("a turn is over for all links at once, and the next one is not", async () => {
    exhaust()
    assert.isTrue(isTurnOver(0))
    await aTurn()
    assert.isFalse(isTurnOver(0))
  })

  it("a few small messages schedule nothing on the event loop", async () => {
    await aTurn()
    let requests = 0
    const { setImmediate } = globalThis
    globalThis.setImmediate = ((...args: Parameters<typeof setImmediate>) => {
      requests++
      return setImmediate(...args)
    }) as typeof setImmediate
    try {
      for (let message = 0; message < 32; message++) isTurnOver(100)
    } finally {
      globalThis.setImmediate = setImmediate
    }
    assert.strictEqual(requests, 0)
  })

  it("callbacks that got no time in a turn come first in the next one, in order", async () => {
    const order: Array<number> = []
    nextTurn(() => {
      order.push(1)
      exhaust()
    })
    nextTurn(() => {
      order.push(2)
      nextTurn(() => order.push(4))
    })
    nextTurn(() => order.push(3))
    await aTurn()
    assert.deepStrictEqual(order, [1])
    await aTurn()
    await aTurn()
    assert.deepStrictEqual(order, [1, 2, 3, 4])
  })

  it.live("a message that takes longer than a turn is handled in parts, one a turn, before the next message", () =>
    Effect.gen(function*() {
      const link = { pull: Effect.succeed([new Uint8Array(400), new Uint8Array(400)]) } as unknown as Link
      let parts = 3
      const calls: Array<string> = []
      const mux = {
        get isReceiving() {
          return parts % 3 !== 0
        }
      } as unknown as Multiplexed
      let turns = 0
      const count = () => {
        turns++
        setImmediate(count)
      }
      const counting = setImmediate(count)
      yield* Effect.exit(readAll(link, mux, new Gate(), {
        paused: () => {},
        receive: () => {
          parts--
          calls.push("message")
          return calls.length > 6 ? closedLocally(1000, "") : undefined
        },
        receiveRest: () => {
          parts = (parts + 2) % 3
          calls.push("rest")
          return undefined
        }
      }))
      clearImmediate(counting)
      assert.deepStrictEqual(calls, ["message", "rest", "rest", "message", "rest", "rest", "message"])
      assert.isAtLeast(turns, 4)
    }))

  it.live("small frames are counted by their cost: the clock is read after some of them, few as their bytes are", () =>
    Effect.gen(function*() {
      yield* Effect.promise(aTurn)
      let looks = 0
      const { now } = performance
      performance.now = () => {
        looks++
        return now.call(performance)
      }
      try {
        for (let frames = 0; frames < 512; frames += 16) isTurnOverAfter(16)
      } finally {
        performance.now = now
      }
      assert.isAtLeast(looks, 4)
    }))

  it("links that send come before those that read, which have half of the turn for themselves", async () => {
    await aTurn()
    const order: Array<string> = []
    nextTurn(() => {
      order.push("read")
      exhaust()
    })
    for (let link = 0; link < 2; link++) {
      nextTurnToSend(() => {
        order.push("send")
        exhaust()
      })
    }
    await aTurn()
    assert.deepStrictEqual(order, ["send", "read"])
    await aTurn()
    assert.deepStrictEqual(order, ["send", "read", "send"])
  })

  it("a turn has few steps, however quick they are: what they leave to other fibers runs behind them", async () => {
    await aTurn()
    const perTurn: Array<number> = [0]
    for (let step = 0; step < 100; step++) inTurn(() => perTurn[perTurn.length - 1]!++)
    for (let turn = 0; turn < 4; turn++) {
      perTurn.push(0)
      await aTurn()
    }
    assert.deepStrictEqual(perTurn.reduce((sum, steps) => sum + steps), 100)
    assert.isAtMost(Math.max(...perTurn), 33)
  })

  it("steps that begin something come behind those that go on, and one of them comes in each turn", async () => {
    await aTurn()
    const order: Array<string> = []
    exhaust()
    inTurnToBegin(() => order.push("begin 1"))
    inTurnToBegin(() => {
      order.push("begin 2")
      exhaust()
    })
    inTurnToBegin(() => order.push("begin 3"))
    inTurn(() => order.push("go on 1"))
    inTurn(() => {
      order.push("go on 2")
      exhaust()
    })
    assert.deepStrictEqual(order, [])
    await aTurn()
    assert.deepStrictEqual(order, ["go on 1", "go on 2", "begin 1"])
    await aTurn()
    await aTurn()
    assert.deepStrictEqual(order, ["go on 1", "go on 2", "begin 1", "begin 2", "begin 3"])
  })

  it.live("a link that always has more to read leaves others their turn, within a batch and between batches", () =>
    Effect.gen(function*() {
      const enough = 500_000
      for (const size of [1, enough]) {
        let received = 0
        const batch = Array.from({ length: size }, () => new Uint8Array(8))
        const link = { pull: Effect.sync(() => batch) } as unknown as Link
        const mux = { counters: zeroCounters() } as unknown as Multiplexed
        const reader = yield* Effect.forkChild(readAll(link, mux, new Gate(), {
          paused: () => {},
          receive: () => {
            // Without turns it would never end.
            if (received++ < enough) return undefined
            throw new Error("nobody had a turn")
          },
          receiveRest: () => undefined
        }))
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
        assert.isBelow(received, enough)
        assert.isUndefined(reader.pollUnsafe())
      }
    }))
})

describe("steps of connections", () => {
  it("a step runs at once while the turn has time", async () => {
    await aTurn()
    let done = false
    Effect.runFork(Effect.andThen(awaitStep, Effect.sync(() => done = true)))
    assert.isTrue(done)
  })

  it("steps wait in the order of arrival once the turn is over, and take no more than their share of later turns", async () => {
    exhaust()
    const order: Array<number> = []
    const step = (name: number) =>
      Effect.runFork(Effect.andThen(
        awaitStep,
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

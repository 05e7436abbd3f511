/**
 * Links that end at once take turns to tell of it: what follows for their connections is most of what losing them costs.
 */
import { assert, describe, it } from "@effect/vitest"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import { isTurnOver } from "../../src/internal/scheduling/turn.ts"

const aTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Uses up what links may take of this turn. */
const exhaust = () => {
  while (!isTurnOver(16 * 1024)) Math.random()
}

describe("links that end at once", () => {
  it("tell of it in the order of their ends, and no longer than links may be busy in a turn", async () => {
    const construct = await Effect.runPromise(
      Effect.provide(Socket.WebSocketConstructor, NodeSwaggerSocket.layerWebSocketConstructor)
    )
    const told: Array<number> = []
    const ends = [1, 2, 3].map((name) => {
      // Nobody listens on port 1. `ws` tells of the error, and then of the end, within one call.
      const socket = construct("ws://127.0.0.1:1")
      return new Promise<void>((resolve) => {
        socket.addEventListener("error", () => {
          exhaust()
          resolve()
        })
        socket.addEventListener("close", () => {
          told.push(name)
          exhaust()
        })
      })
    })
    await Promise.all(ends)
    assert.isBelow(told.length, 3)
    while (told.length < 3) {
      const before = told.length
      await aTurn()
      assert.isAtMost(told.length - before, 1)
    }
    assert.deepStrictEqual(told, [1, 2, 3])
  })
})

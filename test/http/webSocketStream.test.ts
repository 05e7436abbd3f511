/**
 * WebSockets over the bytes of an upgraded stream.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { RawStream } from "../../src/internal/http/rawStream.ts"
import { WebSocketStream } from "../../src/internal/http/webSocketStream.ts"

/** Upgraded streams on which these bytes have arrived, and nothing more does. */
const arrived = (bytes: Uint8Array) => {
  let isTaken = false
  const kept: Array<number> = []
  const sent: Array<Uint8Array> = []
  const raw = {
    mux: { keep: (_stream: unknown, size: number) => kept.push(size) },
    room: { isFull: false },
    stream: {},
    send: (part: Uint8Array) => sent.push(part) > 0,
    finish() {},
    pull: Effect.suspend(() => {
      if (isTaken) return Effect.never
      isTaken = true
      return Effect.succeed([bytes])
    })
  } as unknown as RawStream
  return { kept, sent, socket: new WebSocketStream(raw, 1024, false) }
}

describe("messages that arrive together", () => {
  it.live("a million messages without bytes are given in many parts, and others have their turn meanwhile", () =>
    Effect.gen(function*() {
      const count = 1_000_000
      const { kept, socket } = arrived(new Uint8Array(2 * count).map((_, at) => at % 2 === 0 ? 0x82 : 0))
      let [messages, most, turns] = [0, 0, 0]
      let isOver = false
      const onTurn = () => {
        turns++
        if (!isOver) setImmediate(onTurn)
      }
      setImmediate(onTurn)
      while (messages < count) {
        const { length } = yield* socket.pull
        messages += length
        most = Math.max(most, length)
      }
      isOver = true
      assert.isAtMost(most, 1024)
      assert.isAbove(turns, 1)
      // What was not read yet counts as unread.
      assert.strictEqual(kept[0], 2 * count)
      assert.strictEqual(kept[kept.length - 1], 0)
    }))

  it.live("pings without end leave the event loop to others", () =>
    Effect.gen(function*() {
      const count = 1_000_000
      const { sent, socket } = arrived(new Uint8Array(2 * count).map((_, at) => at % 2 === 0 ? 0x89 : 0))
      const reading = yield* Effect.forkChild(socket.pull, { startImmediately: true })
      yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      assert.isBelow(sent.length, count)
      assert.isUndefined(reading.pollUnsafe())
    }))
})

/**
 * Clients of a WebSocket that read slowly, or not at all.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { MiB } from "../support/bodies.ts"
import { collectGarbage, heapBytes } from "../support/measurements.ts"
import { settled, until, within } from "../support/waiting.ts"
import { listen } from "./bindings.ts"
import { dial } from "./raw.ts"
import { type Reading, serve, type ServerOptions } from "./weather.ts"

const KiB = 1024

/** A stream of messages of a size, and what became of it. */
const startSource = Effect.fnUntraced(function*(
  options: ServerOptions & { readonly size: number; readonly total: number; readonly burst?: boolean }
) {
  const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const { burst, size, total, ...settings } = options
  let made = 0
  const reading = (): Reading => ({ celsius: made++, at: "x".repeat(size) })
  const stream = burst === true
    ? Stream.suspend(() => Stream.fromIterable(Array.from({ length: total }, reading)))
    : Stream.take(Stream.forever(Stream.fromEffect(Effect.sync(reading))), total)
  const { url } = yield* listen(serve({
    watch: () => Effect.succeed(Stream.onExit(stream, (exit) => Deferred.succeed(ended, exit)))
  }, settings))
  const raw = yield* dial(url, "/watch")
  return { raw, made: () => made, ended: within("the handler's end", Deferred.await(ended)) }
})

describe("slow client", () => {
  it.live("a client that does not read is closed with 4408 after sendTimeout, and its handler is interrupted", () =>
    Effect.gen(function*() {
      const { ended, made, raw } = yield* startSource({ size: 10 * KiB, total: Infinity, sendTimeout: "300 millis" })
      raw.ws.pause()
      assert.isTrue(Exit.isFailure(yield* ended))
      assert.isBelow(made() * 10 * KiB, 24 * MiB)
      raw.ws.resume()
      assert.strictEqual((yield* raw.end).code, 4408)
    }))

  it.live("a client that does not read costs no more memory than the buffers hold", () =>
    Effect.gen(function*() {
      yield* collectGarbage
      const before = heapBytes()
      const { made, raw } = yield* startSource({ size: 10 * KiB, total: Infinity })
      raw.ws.pause()
      yield* settled("what was made", made)
      yield* collectGarbage
      assert.isBelow(heapBytes() - before, 4 * MiB)
    }))

  it.live("a client that reads slowly is not closed, though all of a burst takes longer than sendTimeout", () =>
    Effect.gen(function*() {
      const total = 4000
      const { ended, raw } = yield* startSource({ size: 10 * KiB, total, burst: true, sendTimeout: "400 millis" })
      // What comes is taken in portions.
      const timer = setInterval(() => {
        raw.ws.resume()
        setImmediate(() => raw.ws.pause())
      }, 20)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
      yield* until("all messages, or the end", () => raw.messages.length === total || raw.closed !== undefined, 20_000)
      clearInterval(timer)
      raw.ws.resume()
      assert.strictEqual((yield* raw.end).code, 1000)
      assert.strictEqual(raw.messages.length, total)
      assert.isTrue(Exit.isSuccess(yield* ended))
    }))

  it.live("a client that takes one long message slowly is not closed, though the whole takes longer than sendTimeout", () =>
    Effect.gen(function*() {
      const size = 32 * MiB
      const { raw } = yield* startSource({ size, total: 1, sendTimeout: "700 millis" })
      // At most 2 MiB at once: Node reads a socket up to 32 times in a row, and 64 KiB each time.
      const timer = setInterval(() => {
        raw.ws.resume()
        setImmediate(() => raw.ws.pause())
      }, 100)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
      yield* until("the message, or the end", () => raw.messages.length === 1 || raw.closed !== undefined, 20_000)
      clearInterval(timer)
      raw.ws.resume()
      assert.strictEqual((yield* raw.end).code, 1000)
      assert.strictEqual(raw.messages.length, 1)
    }))

  it.live("messages larger than the send buffer are sent whole", () =>
    Effect.gen(function*() {
      for (const size of [1, 1000, 100_000]) {
        const { raw } = yield* startSource({ size, total: 200, sendBuffer: 1, sendTimeout: "1 second" })
        assert.strictEqual((yield* raw.end).code, 1000)
        assert.strictEqual(raw.messages.length, 200)
      }
    }))

  it.live("a slow client that is closed does not disturb other clients", () =>
    Effect.gen(function*() {
      const slow = yield* startSource({ size: 10 * KiB, total: Infinity, sendTimeout: "200 millis" })
      slow.raw.ws.pause()
      const other = yield* startSource({ size: 10, total: 1000 })
      assert.strictEqual((yield* other.raw.end).code, 1000)
      yield* slow.ended
    }))
})

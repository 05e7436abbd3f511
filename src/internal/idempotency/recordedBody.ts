/**
 * Reads a response's body to its end, although its reader may leave before.
 */
import * as Bytes from "effect/Bytes"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { toBytes, UnusableBody } from "../http/chunks.ts"

interface Recording<E> {
  /** The whole body, for one reader. */
  readonly stream: Stream.Stream<Uint8Array, E>
  /** Reads the body to its end. The result is `undefined` if there was no room for all of it, or it broke off. */
  readonly run: Effect.Effect<Uint8Array | undefined>
}

/**
 * Reads as much as there is room for without waiting for the reader. The rest is read at the reader's pace, and dropped once
 * the reader is `gone`. `reserve` takes room for a number of bytes.
 *
 * @internal
 */
export const record = Effect.fnUntraced(function*<E>(
  source: Stream.Stream<Uint8Array, E>,
  reserve: (bytes: number) => boolean,
  gone: Effect.Effect<void>
): Effect.fn.Return<Recording<E>> {
  const head = yield* Queue.unbounded<Uint8Array, E | Cause.Done>()
  const tail = yield* Queue.bounded<Uint8Array, E | Cause.Done>(1)
  const chunks: Array<Uint8Array> = []
  let fits = true
  const read = Stream.runForEachWhile(source, (part): Effect.Effect<boolean, E> => {
    const chunk = toBytes(part)
    if (chunk === undefined) return Effect.die(new UnusableBody("chunk", part))
    fits = fits && reserve(chunk.length)
    if (fits) {
      chunks.push(chunk)
      Queue.offerUnsafe(head, chunk)
      return Effect.succeed(true)
    }
    Queue.endUnsafe(head)
    return Effect.raceFirst(Queue.offer(tail, chunk), Effect.as(gone, false))
  })
  const end = (exit: Exit.Exit<void, E>) =>
    Effect.sync(() => {
      for (const queue of [head, tail]) {
        if (Exit.isSuccess(exit)) Queue.endUnsafe(queue)
        else Queue.failCauseUnsafe(queue, exit.cause)
      }
    })
  return {
    stream: Stream.concat(Stream.fromQueue(head), Stream.fromQueue(tail)),
    run: Effect.match(Effect.onExit(read, end), {
      onFailure: () => undefined,
      onSuccess: () => fits ? Bytes.concat(chunks) : undefined
    })
  }
})

/**
 * Writes a stream to one of Node, as fast as that takes it.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Writable } from "node:stream"

const drained = (to: Writable): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const onDrain = () => resume(Effect.void)
    to.once("drain", onDrain)
    return Effect.sync(() => void to.off("drain", onDrain))
  })

/** Writes all of a body, and the end behind it. A body that fails has no end: its reader must not take a part for the whole. @internal */
export const writeBody = <E>(body: Stream.Stream<Uint8Array, E>, to: Writable): Effect.Effect<void, E> =>
  Effect.andThen(
    Stream.runForEachArray(body, (chunks) => {
      let hasRoom = true
      for (const chunk of chunks) hasRoom = to.write(chunk)
      return hasRoom ? Effect.void : drained(to)
    }),
    Effect.sync(() => void to.end())
  )

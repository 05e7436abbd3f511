/**
 * Reads a link, as fast as the connection takes it.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type { Multiplexed } from "../Multiplexer.ts"
import type { SwaggerSocketError } from "../SwaggerSocketError.ts"
import { endOf, type Link } from "./link.ts"

/** Until the link ends. @internal */
export const readAll = (
  link: Link,
  mux: Multiplexed,
  receive: (batch: NonEmptyReadonlyArray<Uint8Array | string>) => Effect.Effect<void, SwaggerSocketError>
): Effect.Effect<never, SwaggerSocketError> => {
  const next = Effect.flatMap(Effect.mapError(link.pull, endOf), receive)
  const readable = mux.whenReadable === undefined
    ? undefined
    : Effect.callback<void>((resume) => {
      let isNow = true
      // Not within what has made room, which is not done yet.
      mux.whenReadable!(() => isNow ? resume(Effect.void) : queueMicrotask(() => resume(Effect.void)))
      isNow = false
    })
  return Effect.forever(readable === undefined ? next : Effect.andThen(readable, next), { disableYield: true })
}

/**
 * Waiting for a link that has enough to send.
 */
import * as Effect from "effect/Effect"
import type { Link } from "../link.ts"

/** @internal */
export const untilRoom = (link: Link): Effect.Effect<void> =>
  Effect.callback((resume) => link.onRoom(() => resume(Effect.void)))

/**
 * Loads wire v1 when the first peer speaks it, so that pages and programs without such peers don't carry it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Limits } from "../../Limits.ts"
import type { ClientWire, ServerWire } from "../handshake/wire.ts"
import type { Link } from "../link/link.ts"
import { randomness } from "../scheduling/random.ts"

/** Wire v1 on a link. @internal */
export const load = (link: Link, role: "client" | "server", limits: Limits): Effect.Effect<ServerWire & ClientWire> =>
  Effect.gen(function*() {
    const { make } = yield* Effect.promise(() => import("./wire.ts"))
    return make(link, role, limits, yield* Clock.Clock, yield* randomness)
  })

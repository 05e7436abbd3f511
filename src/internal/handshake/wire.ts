/**
 * What a connection speaks: how it begins, and how exchanges share it. Wire v1 is loaded when the first peer speaks it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Accept, Dial } from "../../Handshake.ts"
import type { Limits } from "../../Limits.ts"
import type { Multiplexer } from "../../Multiplexer.ts"
import type { Link } from "../link/link.ts"

/** For one link. @internal */
export interface Wire {
  readonly name: "v1" | "v2"
  readonly multiplexer: typeof Multiplexer.Service
  /** The link as this wire uses it. */
  readonly link: Link
}

/** @internal */
export interface ServerWire extends Wire {
  readonly accept: typeof Accept.Service
}

/** @internal */
export interface ClientWire extends Wire {
  readonly dial: typeof Dial.Service
}

/** @internal */
export const v1 = (link: Link, role: "client" | "server", limits: Limits): Effect.Effect<ServerWire & ClientWire> =>
  Effect.flatMap(
    Clock.Clock,
    (clock) => Effect.map(Effect.promise(() => import("../v1/wire.ts")), ({ make }) => make(link, role, limits, clock))
  )

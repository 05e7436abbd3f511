/**
 * The replaceable parts that connections are made with. `Heartbeat` and `Multiplexer` show them to users.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { MakeMultiplexer, Multiplexed } from "../streams/multiplexed.ts"
import { Multiplexer as WireV2 } from "../streams/multiplexer.ts"
import type { MultiplexerOptions } from "../streams/options.ts"
import { type Beat, type HeartbeatLink, make } from "./heartbeat.ts"

/** @internal */
export const standardHeartbeat: (link: HeartbeatLink) => Effect.Effect<Beat> = make()

/** @internal */
export const Heartbeat: Context.Reference<(link: HeartbeatLink) => Effect.Effect<Beat>> = Context.Reference(
  "effect-swaggersocket/Heartbeat",
  { defaultValue: () => standardHeartbeat }
)

/** @internal */
export const standardMultiplexer = (options: MultiplexerOptions): Multiplexed => new WireV2(options)

/** @internal */
export const Multiplexer: Context.Reference<MakeMultiplexer> = Context.Reference(
  "effect-swaggersocket/Multiplexer",
  { defaultValue: () => standardMultiplexer }
)

/** The parts, as they are where a server or client is made. @internal */
export interface Parts {
  readonly heartbeat: typeof Heartbeat.Service
  readonly multiplexer: typeof Multiplexer.Service
}

/** @internal */
export const replaceableParts: Effect.Effect<Parts> = Effect.all({ heartbeat: Heartbeat, multiplexer: Multiplexer })

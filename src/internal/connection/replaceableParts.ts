/**
 * The replaceable parts that connections are made with.
 */
import * as Effect from "effect/Effect"
import { Heartbeat } from "../../Heartbeat.ts"
import { Multiplexer } from "../../Multiplexer.ts"
import type { Parts } from "./types.ts"

/** @internal */
export const replaceableParts: Effect.Effect<Parts> = Effect.all({ heartbeat: Heartbeat, multiplexer: Multiplexer })

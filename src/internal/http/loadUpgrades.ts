/**
 * Loads what upgrades need when the first one is asked for, so that pages and programs without any don't carry it.
 */
import * as Effect from "effect/Effect"

/** @internal */
export const loadUpgrades = Effect.promise(() => import("./upgrades.ts"))

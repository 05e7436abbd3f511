/**
 * The HTTP semantics of wire v2 on wire v1. What that can't express is skipped with its reason.
 */
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { options, transports } from "./transports.ts"

for (const [name, layer] of Object.entries(transports)) {
  HttpSemantics.suite({ describe, it }, `wire v1, ${name}`, layer, options)
}

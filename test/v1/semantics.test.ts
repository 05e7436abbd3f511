/**
 * The HTTP semantics of wire v2 on wire v1. What that can't express is skipped with its reason. A run takes each case over a
 * WebSocket or in memory, with the API on either end; `WHOLE=1` takes it over all.
 */
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { sharedOut } from "../support/extent.ts"
import { options, transports } from "./transports.ts"

for (const api of ["API on the server", "API on the client"]) {
  const ways = Object.entries(transports).filter(([name]) => name.startsWith(api))
  const share = sharedOut(ways.length)
  for (const [index, [name, layer]] of ways.entries()) {
    HttpSemantics.suite(share(index, { describe, it }), `wire v1, ${name}`, layer, options)
  }
}

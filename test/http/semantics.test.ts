/**
 * The same HTTP semantics on every way to connect; `httpSemantics.node.test.ts` is the control over plain HTTP/1.1. A run takes
 * each case over a WebSocket or in memory, with the API on either end; `WHOLE=1` takes it over all.
 */
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { sharedOut } from "../support/extent.ts"
import { makeTransports } from "../support/transports.ts"

for (const api of ["API on the server", "API on the client"]) {
  const ways = Object.entries(makeTransports()).filter(([name]) => name.startsWith(api))
  const share = sharedOut(ways.length)
  for (const [index, [name, layer]] of ways.entries()) HttpSemantics.suite(share(index, { describe, it }), name, layer)
}

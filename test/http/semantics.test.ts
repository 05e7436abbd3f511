/**
 * The same HTTP semantics on every way to connect; `httpSemantics.node.test.ts` is the control over plain HTTP/1.1.
 */
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { makeTransports } from "../support/transports.ts"

for (const [name, layer] of Object.entries(makeTransports())) HttpSemantics.suite({ describe, it }, name, layer)

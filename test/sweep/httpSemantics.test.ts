import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { makeTransports } from "../support/transports.ts"
import { portion, sweep } from "./budgets.ts"

sweep((_budget, turn) => {
  for (const [name, layer] of portion(makeTransports(), turn)) HttpSemantics.suite({ describe, it }, name, layer)
}, { each: 2 })

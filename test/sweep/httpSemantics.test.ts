import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { transports } from "../http/transports.ts"
import { portion, sweep } from "./budgets.ts"

sweep((_budget, turn) => {
  for (const [name, layer] of portion(transports, turn)) HttpSemantics.suite({ describe, it }, name, layer)
}, { each: 2 })

import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import { options, transports } from "../v1/transports.ts"
import { portion, sweep } from "./budgets.ts"

sweep((_budget, turn) => {
  for (const [name, layer] of portion(transports, turn)) {
    HttpSemantics.suite({ describe, it }, `wire v1, ${name}`, layer, options)
  }
}, { each: 4 })

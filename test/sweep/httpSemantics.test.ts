import { transports } from "../http/transports.ts"
import { httpSemantics } from "../suites/httpSemantics.ts"
import { portion, sweep } from "./budgets.ts"

sweep((_budget, turn) => {
  for (const [name, layer] of portion(transports, turn)) httpSemantics(name, layer)
}, { each: 2 })

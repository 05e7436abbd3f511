import { suite, ways } from "../http/upgradeKinds.ts"
import { portion, sweep } from "./budgets.ts"

sweep((_budget, turn) => {
  for (const [name, way] of portion(ways, turn)) suite(name, way)
})

import { registerFile, sweep } from "./budgets.ts"

sweep((budget) => registerFile(new URL("../streaming/kinds.test.ts", import.meta.url), budget))

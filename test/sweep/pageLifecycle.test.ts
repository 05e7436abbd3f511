import { registerFile, sweep } from "./budgets.ts"

sweep((budget) => registerFile(new URL("../browser/pageLifecycle.test.ts", import.meta.url), budget), { each: 2 })

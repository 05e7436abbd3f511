import type { Scenario } from "../scenario.ts"
import small from "./small.ts"

export const scenarios: ReadonlyArray<Scenario> = [small]

/**
 * The same HTTP semantics on every way to connect; `httpSemantics.node.test.ts` is the control over plain HTTP/1.1.
 */
import { httpSemantics } from "../suites/httpSemantics.ts"
import { transports } from "./transports.ts"

for (const [name, layer] of Object.entries(transports)) httpSemantics(name, layer)

/**
 * The HTTP semantics of wire v2 on wire v1. What that can't express is skipped with its reason.
 */
import { httpSemantics } from "../suites/httpSemantics.ts"
import { options, transports } from "./transports.ts"

for (const [name, layer] of Object.entries(transports)) httpSemantics(name, layer, options)

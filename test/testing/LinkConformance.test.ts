/**
 * What a link has to do, over every constructor.
 */
import { describe, it } from "@effect/vitest"
import * as LinkConformance from "effect-swaggersocket/testing/LinkConformance"
import { linkedEnds } from "../support/linkedEnds.ts"

// PROTOCOL.md LNK-1
for (const [name, makeEnds] of Object.entries(linkedEnds)) LinkConformance.suite({ describe, it }, name, makeEnds)

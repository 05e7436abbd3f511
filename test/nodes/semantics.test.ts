/**
 * HTTP as every way to connect keeps it, from one node to a device of another.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, it } from "@effect/vitest"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { sharedOut } from "../support/extent.ts"
import { makeNodes, named } from "./fleets.ts"
import { makeSocketNodes } from "./socketNodes.ts"

const inMemory = Effect.gen(function*() {
  const { nodes } = yield* makeNodes("a", "b")
  const [a, b] = nodes
  const serving = yield* b!.device("one")
  return { serving, calling: yield* a!.fleet.awaitConnection(named("one")) }
})

const overWebSockets = Effect.gen(function*() {
  const [a, b] = yield* makeSocketNodes("a", "b")
  const serving = yield* b!.device("one")
  return { serving, calling: yield* a!.fleet.awaitConnection(named("one")) }
})

/** A run takes one of sixteen cases in each way, `WHOLE=1` all of them. */
const share = sharedOut(16)

HttpSemantics.suite(
  share(0, { describe, it }),
  "between nodes, in memory",
  Layer.merge(HttpSemantics.layerConnections(inMemory), NodeHttpServer.layerHttpServices)
)

HttpSemantics.suite(
  share(1, { describe, it }),
  "between nodes, over WebSockets",
  Layer.merge(HttpSemantics.layerConnections(overWebSockets), NodeHttpServer.layerHttpServices)
)

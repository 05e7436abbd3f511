/**
 * The HTTP semantics between two peers in memory, with the runner of Node.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as SwaggerSocketTest from "effect-swaggersocket/SwaggerSocketTest"
import { HttpSemantics } from "effect-swaggersocket/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, it } from "node:test"

const connect = Effect.map(
  SwaggerSocketTest.makePair(),
  ({ client, server }) => ({ serving: server, calling: client })
)

HttpSemantics.suite(
  { describe, it },
  "in memory",
  Layer.merge(HttpSemantics.layerConnections(connect), NodeHttpServer.layerHttpServices),
  { skip: { "a call of a URL with a fragment": "no case is called that" } }
)

/**
 * The same HTTP semantics on links of every constructor, with the API on the server and on the client by turns. A run takes each
 * case over one of them, `WHOLE=1` over all.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { describe, it } from "@effect/vitest"
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as HttpSemantics from "effect-swaggersocket/testing/HttpSemantics"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { sharedOut } from "../support/extent.ts"
import { linkedEnds, type MakeEnds } from "../support/linkedEnds.ts"

class Peers extends SwaggerSocketServer.Service<Peers>()("test/http/links/Peers") {}

const layerPeers = (makeEnds: MakeEnds) =>
  Layer.unwrap(Effect.map(Peers, (peers) =>
    SwaggerSocketClient.layer({
      link: Effect.gen(function*() {
        const { far, near } = yield* makeEnds
        yield* Effect.forkDetach(peers.accept(Effect.succeed(far)))
        return near
      })
    }))).pipe(Layer.provideMerge(Peers.layerNoRoute({})))

const OnServer = Layer.merge(ApiServer.layerServer(Peers), ApiClient.layer)

const OnClient = Layer.merge(
  ApiServer.layer,
  Layer.unwrap(Effect.gen(function*() {
    return ApiClient.layerConnection(yield* (yield* Peers).awaitConnection())
  }))
)

const ways = Object.entries(linkedEnds)
const share = sharedOut(ways.length)

for (const [index, [name, makeEnds]] of ways.entries()) {
  const api = index % 2 === 0 ? OnServer : OnClient
  const layer = Layer.merge(NodeHttpServer.layerHttpServices, Layer.provide(api, layerPeers(makeEnds)))
  HttpSemantics.suite(share(index, { describe, it }), name, layer)
}

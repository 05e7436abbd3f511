import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { layerHttpServer, makeRuntime, quiet, serve } from "../effect.ts"
import { layerHttpClient, nameOfHttpClient } from "../effectHttpClient.ts"
import { connectHttpApi, routes } from "../httpApi.ts"
import type { Peer } from "../peer.ts"

const peer: Peer = {
  title: `Effect \`HttpApi\` on both ends (${nameOfHttpClient}) over HTTP/1.1; streams of items as \`StreamNdjson\``,
  serve: () => serve(Layer.provideMerge(HttpRouter.serve(routes, quiet), layerHttpServer)),
  connect: (port) => connectHttpApi(makeRuntime(layerHttpClient), `http://127.0.0.1:${port}`)
}

export default peer

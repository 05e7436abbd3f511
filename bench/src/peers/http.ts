import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { layerHttpServer, makeRuntime, quiet, serve } from "../effect.ts"
import { layerHttpClient, nameOfHttpClient } from "../effectHttpClient.ts"
import { operations, routes } from "../httpRouter.ts"
import type { Peer } from "../peer.ts"

const peer: Peer = {
  title: `Effect \`HttpRouter\` and \`HttpClient\` (${nameOfHttpClient}) over HTTP/1.1; items as server-sent events`,
  serve: () => serve(Layer.provideMerge(HttpRouter.serve(routes, quiet), layerHttpServer)),
  async connect(port) {
    const runtime = makeRuntime(layerHttpClient)
    return operations(runtime, await runtime.runPromise(HttpClient.HttpClient), `http://127.0.0.1:${port}`)
  }
}

export default peer

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import { getItem, layerHttpServer, makeRuntime, operation, quiet, routes, serve } from "../effect.ts"
import type { Peer } from "../peer.ts"

// Undici is about twice as fast as node:http here, but its version 8 does not load in Node.js 20
const undici = Number.parseInt(process.versions.node) >= 22
const layerClient = undici ? NodeHttpClient.layerUndici : NodeHttpClient.layerNodeHttpOptions({ keepAlive: true })

const peer: Peer = {
  title: `Effect \`HttpRouter\` and \`HttpClient\` (${undici ? "Undici" : "node:http, keep-alive"}) over HTTP/1.1`,

  serve: () => serve(Layer.provideMerge(HttpRouter.serve(routes, quiet), layerHttpServer)),

  async connect(port) {
    const runtime = makeRuntime(layerClient)
    const client = await runtime.runPromise(HttpClient.HttpClient)
    return { small: operation(runtime, getItem(client, `http://127.0.0.1:${port}`)) }
  }
}

export default peer

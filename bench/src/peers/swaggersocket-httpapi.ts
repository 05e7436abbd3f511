import { connectHttpApi, routes } from "../httpApi.ts"
import type { Peer } from "../peer.ts"
import { connectSocket, serveOnSockets } from "../swaggersocket.ts"

const peer: Peer = {
  title: "effect-swaggersocket, `HttpApi` on both ends; streams of items as `StreamNdjson`",
  serve: () => serveOnSockets(routes),
  connect: async (port) => ({ connection: true, ...await connectHttpApi(await connectSocket(port)) })
}

export default peer

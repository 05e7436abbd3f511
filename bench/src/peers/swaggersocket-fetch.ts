import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as HttpClient from "effect/http/HttpClient"
import { chunks, headers, type Item } from "../content.ts"
import { makeEventReader } from "../events.ts"
import { routes } from "../httpRouter.ts"
import { receiveAll, streamOf } from "../node.ts"
import { type Peer, promised } from "../peer.ts"
import { connectSocket, serveOnSockets } from "../swaggersocket.ts"

const peer: Peer = {
  title: "effect-swaggersocket, called through `ApiClient.toFetch`",

  serve: () => serveOnSockets(routes),

  async connect(port) {
    const fetch = ApiClient.toFetch(await (await connectSocket(port)).runPromise(HttpClient.HttpClient))
    const call = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(path, init)
      if (response.status !== 200) throw new Error(`${path}: ${response.status}`)
      return response
    }
    return {
      connection: true,
      small: promised(async (id) => (await call(`/items/${id}`, { headers: headers(id) })).json() as Promise<Item>),
      down: async ({ chunk, size }, receive) => receiveAll((await call(`/bodies/${size}/${chunk}`)).body!, receive),
      up: async (body) =>
        Number(
          await (await call("/bodies", { method: "POST", body: streamOf(chunks(body)), duplex: "half" } as RequestInit))
            .text()
        ),
      items: async (count, receive) => receiveAll((await call(`/events/${count}`)).body!, makeEventReader(receive))
    }
  }
}

export default peer

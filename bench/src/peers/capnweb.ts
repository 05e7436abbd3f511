import { newWebSocketRpcSession, RpcTarget } from "capnweb"
import { once } from "node:events"
import { WebSocket, WebSocketServer } from "ws"
import { answer, type Body, chunks, headers, type Item, items } from "../content.ts"
import { connectWebSocket, lengthOf, portOf, receiveAll, streamOf } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

// Node.js 20 has none
globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket

type Standard = InstanceType<typeof globalThis.WebSocket>

class Api extends RpcTarget {
  small(id: number, headers: Record<string, string>): Item {
    return answer(id, headers)
  }
  down(body: Body): ReadableStream<Uint8Array> {
    return streamOf(chunks(body))
  }
  up(body: ReadableStream<Uint8Array>): Promise<number> {
    return lengthOf(body)
  }
  items(count: number): ReadableStream<Item> {
    return streamOf(items(count))
  }
}

const peer: Peer = {
  title: "Cap'n Web over WebSocket; bodies and items as web streams",

  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    server.on("connection", (socket) => newWebSocketRpcSession(socket as unknown as Standard, new Api()))
    await once(server, "listening")
    return portOf(server)
  },

  async connect(port) {
    const api = newWebSocketRpcSession<Api>(await connectWebSocket(port) as unknown as Standard)
    const small = promised((id: number): Promise<Item> => api.small(id, headers(id)))
    return {
      connection: true,
      small,
      streams: small,
      down: async (body, receive) => receiveAll(await api.down(body) as ReadableStream<Uint8Array>, receive),
      up: async (body) => api.up(streamOf(chunks(body))),
      async items(count, receive) {
        for await (const item of await api.items(count) as ReadableStream<Item>) receive(item)
      }
    }
  }
}

export default peer

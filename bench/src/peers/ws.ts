import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import { type Item, item, type Peer } from "../peer.ts"

const peer: Peer = {
  title: "raw `ws`: an echo of the item, no path, no headers",

  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    server.on("connection", (socket) => {
      socket.on("message", (data, binary) => socket.send(data, { binary }))
    })
    await once(server, "listening")
    return (server.address() as AddressInfo).port
  },

  async connect(port) {
    const pending = new Map<number, (item: Item) => void>()
    const socket = new WebSocket(`ws://127.0.0.1:${port}`)
    socket.on("message", (data) => {
      const item: Item = JSON.parse(String(data))
      pending.get(item.id)!(item)
      pending.delete(item.id)
    })
    socket.on("close", () => process.exit(1))
    await once(socket, "open")
    const call = (id: number) =>
      new Promise<Item>((resolve) => {
        pending.set(id, resolve)
        socket.send(JSON.stringify(item(id)))
      })
    return {
      async small(loop) {
        while (loop.running()) loop.answer(await call(loop.input()))
      }
    }
  }
}

export default peer

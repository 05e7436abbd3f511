import { createServer } from "node:http"
import { Server } from "socket.io"
import { io } from "socket.io-client"
import { answer, headers, type Item } from "../content.ts"
import { listen } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

type Answer = (item: Item) => void

const peer: Peer = {
  title: "Socket.IO over WebSocket, acknowledged events",

  serve() {
    const http = createServer()
    new Server(http, { transports: ["websocket"] }).on("connection", (socket) => {
      socket.on(
        "small",
        (id: number, headers: Record<string, string>, acknowledge: Answer) => acknowledge(answer(id, headers))
      )
    })
    return listen(http)
  },

  async connect(port) {
    const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"], forceNew: true })
    await new Promise<void>((resolve) => socket.on("connect", resolve))
    const small = promised((id: number) =>
      new Promise<Item>((resolve: Answer) => socket.emit("small", id, headers(id), resolve))
    )
    return { connection: true, small, streams: small }
  }
}

export default peer

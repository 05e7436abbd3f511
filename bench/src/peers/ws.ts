import { once } from "node:events"
import { WebSocketServer } from "ws"
import { connectWebSocket, portOf } from "../node.ts"
import type { Peer } from "../peer.ts"
import { answerOn, callOn } from "../rawWebSocket.ts"

const peer: Peer = {
  title: "raw `ws`: an echo of the item, no path, no headers; bodies and streams in messages, one at a time, without " +
    "flow control but TCP's",

  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    server.on("connection", answerOn)
    await once(server, "listening")
    return portOf(server)
  },

  connect: async (port) => callOn(await connectWebSocket(port))
}

export default peer

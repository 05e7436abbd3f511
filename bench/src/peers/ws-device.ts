import { once } from "node:events"
import { type WebSocket, WebSocketServer } from "ws"
import { awaitCallers, dialMe } from "../dialBack.ts"
import { connectWebSocket, portOf } from "../node.ts"
import type { Peer } from "../peer.ts"
import { answerOn, callOn } from "../rawWebSocket.ts"

const peer: Peer = {
  title: "raw `ws` where the end that answers has dialled: it masks its answers",

  serve: () => awaitCallers(async (port) => answerOn(await connectWebSocket(port))),

  async connect(port) {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    await once(server, "listening")
    const connection = once(server, "connection") as unknown as Promise<[WebSocket]>
    await dialMe(port, portOf(server))
    return callOn((await connection)[0])
  }
}

export default peer

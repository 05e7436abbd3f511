import { once } from "node:events"
import { type WebSocket, WebSocketServer } from "ws"
import { answer, headers, type Item } from "../content.ts"
import { connectWebSocket, portOf } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

/** Sends in one message what is said within a turn of the event loop. */
const batching = (socket: WebSocket) => {
  let batch = ""
  const flush = () => {
    socket.send(batch)
    batch = ""
  }
  return (text: string) => {
    if (batch === "") setImmediate(flush)
    batch += text
  }
}

const encodeHead = (firstLine: string, headers: Readonly<Record<string, string>>) => {
  let head = firstLine
  for (const name in headers) head += `\r\n${name}: ${headers[name]}`
  return `${head}\r\n\r\n`
}

const decodeHead = (head: string) => {
  const [firstLine, ...lines] = head.split("\r\n")
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(":")
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
  }
  return { words: firstLine!.split(" "), headers }
}

/** The parts of a message: heads, and bodies, each of which is one line of JSON. */
const parts = (message: Buffer) => String(message).split("\r\n\r\n").slice(0, -1)

const peer: Peer = {
  title: "raw `ws`: calls of one turn in one message, with heads of HTTP/1.1 that are parsed",

  async serve() {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    server.on("connection", (socket) => {
      const send = batching(socket)
      socket.on("message", (message: Buffer) => {
        for (const part of parts(message)) {
          const { headers, words: [call, , path] } = decodeHead(part)
          const body = JSON.stringify(answer(Number(path!.slice("/items/".length)), headers))
          const fields = { "content-type": "application/json", "content-length": String(body.length) }
          send(encodeHead(`${call} 200`, fields) + `${body}\r\n\r\n`)
        }
      })
    })
    await once(server, "listening")
    return portOf(server)
  },

  async connect(port) {
    const socket = await connectWebSocket(port)
    const send = batching(socket)
    const pending = new Map<number, (item: Item) => void>()
    let next = 0
    socket.on("message", (message: Buffer) => {
      const all = parts(message)
      for (let i = 0; i < all.length; i += 2) {
        const { words: [call, status] } = decodeHead(all[i]!)
        if (status !== "200") throw new Error(all[i])
        pending.get(Number(call))!(JSON.parse(all[i + 1]!))
        pending.delete(Number(call))
      }
    })
    const small = promised((id: number) =>
      new Promise<Item>((resolve) => {
        const call = next++
        pending.set(call, resolve)
        send(encodeHead(`${call} GET /items/${id}`, headers(id)))
      })
    )
    return { connection: true, small, streams: small }
  }
}

export default peer

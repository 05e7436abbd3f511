import { createServer } from "node:http"
import { answer, chunks, encodedItems } from "../content.ts"
import { encodeEvent } from "../events.ts"
import { lengthOf, listen, writeAll } from "../node.ts"
import type { Peer } from "../peer.ts"
import { connectUndici } from "../undici.ts"

const peer: Peer = {
  title: "raw `node:http` server and `undici` client; items as server-sent events",

  serve: () =>
    listen(createServer((request, response) => {
      const [, name, first, second] = request.url!.split("/")
      if (name === "items") {
        response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify(answer(Number(first), request.headers)))
      } else if (name === "events") {
        response.writeHead(200, { "content-type": "text/event-stream" })
        void writeAll(encodedItems(Number(first), encodeEvent), response)
      } else if (request.method === "POST") {
        void lengthOf(request).then((length) => response.end(String(length)))
      } else {
        response.writeHead(200, { "content-length": Number(first) })
        void writeAll(chunks({ size: Number(first), chunk: Number(second) }), response)
      }
    })),

  connect: (port) => Promise.resolve(connectUndici(port))
}

export default peer

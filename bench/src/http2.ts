/**
 * The peers over HTTP/2.
 */
import { once } from "node:events"
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Session } from "node:http2"
import { answer, chunks, encodedItems, headers } from "./content.ts"
import { encodeEvent, makeEventReader } from "./events.ts"
import { lengthOf, listen, receiveAll, writeAll } from "./node.ts"
import { type Client, type Peer, promised } from "./peer.ts"

/** Unread bytes that are allowed of a stream and of a session. */
export interface Windows {
  readonly stream: number
  readonly session: number
}

const memory = { maxSessionMemory: 1000 }

const optionsOf = (windows: Windows | undefined) =>
  windows === undefined ? memory : { ...memory, settings: { initialWindowSize: windows.stream } }

const widen = (session: ClientHttp2Session | ServerHttp2Session, windows: Windows | undefined) => {
  if (windows !== undefined) session.setLocalWindowSize(windows.session)
}

export const makePeer = (title: string, windows?: Windows): Peer => ({
  title: `\`node:http2\`, one session, ${title}; items as server-sent events`,

  serve() {
    const server = createServer(optionsOf(windows))
    server.on("session", (session) => widen(session, windows))
    server.on("stream", (stream, request) => {
      const [, name, first, second] = request[":path"]!.split("/")
      stream.respond({ ":status": 200, "content-type": name === "items" ? "application/json" : "text/event-stream" })
      if (name === "items") stream.end(JSON.stringify(answer(Number(first), request)))
      else if (name === "events") void writeAll(encodedItems(Number(first), encodeEvent), stream)
      else if (request[":method"] === "POST") void lengthOf(stream).then((length) => stream.end(String(length)))
      else void writeAll(chunks({ size: Number(first), chunk: Number(second) }), stream)
    })
    return listen(server)
  },

  async connect(port): Promise<Client> {
    const session = connect(`http://127.0.0.1:${port}`, optionsOf(windows))
    await once(session, "connect")
    widen(session, windows)
    const get = (path: string) => session.request({ ":path": path })
    const small = promised(async (id: number) => {
      const stream = session.request({ ":path": `/items/${id}`, ...headers(id) })
      return JSON.parse(await text(stream))
    })
    return {
      connection: true,
      small,
      streams: small,
      down: ({ chunk, size }, receive) => receiveAll(get(`/bodies/${size}/${chunk}`), receive),
      async up(body) {
        const stream = session.request({ ":method": "POST", ":path": "/bodies" })
        const [length] = await Promise.all([text(stream), writeAll(chunks(body), stream)])
        return Number(length)
      },
      items: (count, receive) => receiveAll(get(`/events/${count}`), makeEventReader(receive))
    }
  }
})

const text = (stream: NodeJS.ReadableStream) =>
  new Promise<string>((resolve, reject) => {
    let text = ""
    stream.setEncoding("utf8")
    stream.on("data", (chunk) => text += chunk)
    stream.on("end", () => resolve(text))
    stream.on("error", reject)
  })

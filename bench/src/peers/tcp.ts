import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { BodyCheck, chunks, encodedItems, type Item, item } from "../content.ts"
import { listen } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

/** What the first byte of a message says of the rest, after the four bytes of its length. */
const Kind = {
  item: 0,
  chunk: 1,
  /** What is asked for, or what was got. */
  text: 2
} as const

type Kind = typeof Kind[keyof typeof Kind]

type Request = { readonly down: Parameters<typeof chunks>[0] } | { readonly up: number } | { readonly items: number }

const header = (kind: Kind, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(5)
  bytes.writeUInt32BE(length, 0)
  bytes[4] = kind
  return bytes
}

/** Messages of a turn leave together. */
const send = (socket: Socket, kind: Kind, data: Uint8Array | string): boolean => {
  if (socket.writableCorked === 0) {
    socket.cork()
    process.nextTick(() => socket.uncork())
  }
  const bytes = typeof data === "string" ? Buffer.from(data) : data
  socket.write(header(kind, bytes.length))
  return socket.write(bytes)
}

const sendAll = async (socket: Socket, kind: Kind, messages: Iterable<Uint8Array | string>) => {
  for (const message of messages) {
    if (!send(socket, kind, message)) await once(socket, "drain")
  }
}

/** Calls `receive` with each message; chunks come in the parts in which TCP brings them. */
const read = (socket: Socket, receive: (kind: Kind, data: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  /** Bytes that a chunk still has. */
  let open = 0
  socket.on("data", (data: Buffer) => {
    let bytes = rest.length === 0 ? data : Buffer.concat([rest, data])
    for (;;) {
      if (open > 0) {
        const part = bytes.subarray(0, open)
        open -= part.length
        bytes = bytes.subarray(part.length)
        if (part.length > 0) receive(Kind.chunk, part)
        if (open > 0) break
      }
      if (bytes.length < 5) break
      const length = bytes.readUInt32BE(0)
      const kind = bytes[4] as Kind
      if (kind === Kind.chunk) {
        open = length
        bytes = bytes.subarray(5)
        continue
      }
      if (bytes.length < 5 + length) break
      receive(kind, bytes.subarray(5, 5 + length))
      bytes = bytes.subarray(5 + length)
    }
    rest = bytes
  })
}

const answerOn = (socket: Socket) => {
  socket.setNoDelay(true)
  let check = new BodyCheck()
  let expected = 0
  read(socket, (kind, data) => {
    if (kind === Kind.item) send(socket, Kind.item, data)
    else if (kind === Kind.chunk) {
      check.add(data)
      if (check.length === expected) send(socket, Kind.text, String(check.length))
    } else {
      const request: Request = JSON.parse(String(data))
      if ("down" in request) void sendAll(socket, Kind.chunk, chunks(request.down))
      else if ("items" in request) {
        void sendAll(
          socket,
          Kind.text,
          encodedItems(request.items, (item) => JSON.stringify(item))
        )
      } else {
        check = new BodyCheck()
        expected = request.up
      }
    }
  })
}

const peer: Peer = {
  title: "raw TCP: messages with their length before them, and nothing else; the limit of Node.js' sockets",

  serve: () => listen(createServer(answerOn)),

  async connect(port) {
    const socket = connect(port, "127.0.0.1")
    socket.setNoDelay(true)
    // A connection that is lost would be waited for
    socket.on("close", () => process.exit(1))
    await once(socket, "connect")
    const pending = new Map<number, (item: Item) => void>()
    /** Takes what is no answer to a small call, until it has all. */
    let take: (data: Buffer) => void = () => {}
    read(socket, (kind, data) => {
      if (kind !== Kind.item) return take(data)
      const item: Item = JSON.parse(String(data))
      pending.get(item.id)!(item)
      pending.delete(item.id)
    })
    const ask = (request: Request, amount: number, receive: (data: Buffer) => number) =>
      new Promise<void>((resolve) => {
        let left = amount
        take = (data) => {
          left -= receive(data)
          if (left === 0) resolve()
        }
        send(socket, Kind.text, JSON.stringify(request))
      })
    const small = promised((id: number) =>
      new Promise<Item>((resolve) => {
        pending.set(id, resolve)
        send(socket, Kind.item, JSON.stringify(item(id)))
      })
    )
    return {
      connection: true,
      small,
      streams: small,
      down: (body, receive) =>
        ask({ down: body }, body.size, (chunk) => {
          receive(chunk)
          return chunk.length
        }),
      async up(body) {
        let length = 0
        const answered = ask({ up: body.size }, 1, (answer) => {
          length = Number(answer)
          return 1
        })
        await sendAll(socket, Kind.chunk, chunks(body))
        await answered
        return length
      },
      items: (count, receive) =>
        ask({ items: count }, count, (data) => {
          receive(JSON.parse(String(data)))
          return 1
        })
    }
  }
}

export default peer

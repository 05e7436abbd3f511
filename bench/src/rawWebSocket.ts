/**
 * Items, bodies and streams in messages of a raw WebSocket, one at a time, without flow control but TCP's.
 */
import type { WebSocket } from "ws"
import { BodyCheck, chunks, encodedItems, type Item, item } from "./content.ts"
import { sendAll } from "./node.ts"
import { type Client, promised } from "./peer.ts"

/** What a text message that is no item asks for. */
type Request = { readonly down: Parameters<typeof chunks>[0] } | { readonly up: number } | { readonly items: number }

/** The end that answers. */
export const answerOn = (socket: WebSocket): void => {
  let check = new BodyCheck()
  let expected = 0
  socket.on("message", (data: Buffer, binary) => {
    if (binary) {
      check.add(data)
      if (check.length === expected) socket.send(String(check.length))
    } else if (data.toString("latin1", 0, 5) === "{\"id\"") {
      socket.send(data, { binary: false })
    } else {
      const request: Request = JSON.parse(String(data))
      if ("down" in request) void sendAll(socket, chunks(request.down))
      else if ("items" in request) void sendAll(socket, encodedItems(request.items, (item) => JSON.stringify(item)))
      else {
        check = new BodyCheck()
        expected = request.up
      }
    }
  })
}

/** The end that calls. */
export const callOn = (socket: WebSocket): Client => {
  const pending = new Map<number, (item: Item) => void>()
  /** Takes messages that are no answers to small calls, until it has all. */
  let take: (data: Buffer) => boolean = () => false
  socket.on("message", (data: Buffer) => {
    if (take(data)) return
    const item: Item = JSON.parse(String(data))
    pending.get(item.id)!(item)
    pending.delete(item.id)
  })
  /** Sends what is asked for, and takes so much of what comes then. */
  const ask = (request: Request, amount: number, receive: (data: Buffer) => number) =>
    new Promise<void>((resolve) => {
      let left = amount
      take = (data) => {
        left -= receive(data)
        if (left === 0) {
          take = () => false
          resolve()
        }
        return true
      }
      socket.send(JSON.stringify(request))
    })
  const small = promised((id: number) =>
    new Promise<Item>((resolve) => {
      pending.set(id, resolve)
      socket.send(JSON.stringify(item(id)))
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
      await sendAll(socket, chunks(body))
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

import { createTRPCClient, createWSClient, wsLink } from "@trpc/client"
import { initTRPC } from "@trpc/server"
import { applyWSSHandler } from "@trpc/server/adapters/ws"
import { once } from "node:events"
import { WebSocket, WebSocketServer } from "ws"
import { answer, headers, type Item, items } from "../content.ts"
import { portOf } from "../node.ts"
import { type Peer, promised } from "../peer.ts"

const t = initTRPC.create()

const router = t.router({
  small: t.procedure
    .input((input) => input as { readonly id: number; readonly headers: Record<string, string> })
    .query(({ input }) => answer(input.id, input.headers)),
  items: t.procedure
    .input((input) => input as number)
    .subscription(async function*({ input }) {
      yield* items(input)
    })
})

const peer: Peer = {
  title: "tRPC over WebSocket; items as a subscription",

  async serve() {
    const wss = new WebSocketServer({ host: "127.0.0.1", port: 0 })
    applyWSSHandler({ wss, router })
    await once(wss, "listening")
    return portOf(wss)
  },

  async connect(port) {
    let opened!: () => void
    const open = new Promise<void>((resolve) => opened = resolve)
    const client = createTRPCClient<typeof router>({
      links: [wsLink({
        client: createWSClient({
          url: `ws://127.0.0.1:${port}`,
          WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
          onOpen: opened
        })
      })]
    })
    await open
    const small = promised((id: number): Promise<Item> => client.small.query({ id, headers: headers(id) }))
    return {
      connection: true,
      small,
      streams: small,
      items: (count, receive) =>
        new Promise((onComplete, onError) => {
          client.items.subscribe(count, { onData: receive, onComplete, onError })
        })
    }
  }
}

export default peer

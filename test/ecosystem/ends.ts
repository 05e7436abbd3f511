/**
 * Both directions of a connection over a real WebSocket: a hub calls its device, and a device its hub.
 */
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import { type Client, connect, type Handler, type Hub, type HubConnection, listen } from "effect-swaggersocket/promise"
import type * as Https from "node:https"
import * as Undici from "undici"

/** What clients are given of a connection. */
export interface Doors {
  readonly fetch: typeof globalThis.fetch
  readonly agent: Https.Agent
  readonly dispatcher: Undici.Dispatcher
}

export interface Ends {
  readonly hub: Hub
  readonly device: Client
  readonly connection: HubConnection
}

export const join = async (): Promise<Ends> => {
  const hub = await listen({ host: "127.0.0.1" })
  const device = await connect(hub.url)
  return { hub, device, connection: await hub.awaitConnection() }
}

export const leave = async ({ device, hub }: Ends): Promise<void> => {
  await device.close({ drain: false })
  await hub.close({ drain: false })
}

const doorsOf = ({ effect, fetch }: HubConnection | Client): Doors => ({
  fetch,
  agent: NodeSwaggerSocket.toAgent(effect),
  dispatcher: new Undici.Agent({ connect: NodeSwaggerSocket.toConnector(effect) })
})

/** Who calls whom. */
export const directions = {
  "the hub calls a device": {
    serve: ({ device }: Ends, handler: Handler) => device.serve(handler),
    doors: ({ connection }: Ends) => doorsOf(connection)
  },
  "a device calls its hub": {
    serve: ({ hub }: Ends, handler: Handler) => hub.serve(handler),
    doors: ({ device }: Ends) => doorsOf(device)
  }
} as const

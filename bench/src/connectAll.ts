import type { Client } from "./peer.ts"

/** Connects clients, a few at a time. */
export const connectAll = async (count: number, connect: () => Promise<Client>): Promise<ReadonlyArray<Client>> => {
  const clients: Array<Client> = []
  let started = 0
  const loop = async () => {
    while (started++ < count) clients.push(await connect())
  }
  await Promise.all(Array.from({ length: Math.min(count, 64) }, loop))
  return clients
}

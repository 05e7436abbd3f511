import { Agent, type Dispatcher, request } from "undici"
import { chunks, headers, type Item } from "./content.ts"
import { makeEventReader } from "./events.ts"
import { receiveAll } from "./node.ts"
import { type Client, promised } from "./peer.ts"

/** The client of the peers over HTTP/1.1 without Effect: as many connections as there are calls in flight. */
export const connectUndici = (port: number): Client => {
  const origin = `http://127.0.0.1:${port}`
  const dispatcher = new Agent()
  const call = async (path: string, options: Partial<Dispatcher.RequestOptions> = {}) => {
    const { body, statusCode } = await request(
      origin + path,
      { ...options, dispatcher } as Parameters<typeof request>[1]
    )
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode}`)
    return body
  }
  return {
    small: promised(async (id) => (await call(`/items/${id}`, { headers: headers(id) })).json() as Promise<Item>),
    down: async ({ chunk, size }, receive) => receiveAll(await call(`/bodies/${size}/${chunk}`), receive),
    up: async (body) => Number(await (await call("/bodies", { method: "POST", body: chunks(body) as never })).text()),
    items: async (count, receive) => receiveAll(await call(`/events/${count}`), makeEventReader(receive))
  }
}

import type { Item } from "./content.ts"

/** An item as a server-sent event. */
export const encodeEvent = (item: Item): Buffer<ArrayBuffer> => Buffer.from(`data: ${JSON.stringify(item)}\n\n`)

/** Reads server-sent events, each an item, from the chunks of a body. */
export const makeEventReader = (receive: (item: Item) => void) => {
  const decoder = new TextDecoder()
  let rest = ""
  return (chunk: Uint8Array): void => {
    const events = (rest + decoder.decode(chunk, { stream: true })).split("\n\n")
    rest = events.pop()!
    for (const event of events) receive(JSON.parse(event.slice("data: ".length)))
  }
}

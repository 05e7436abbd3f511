/**
 * The ways from a page to its server that are compared.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import * as BrowserSwaggerSocket from "effect-swaggersocket/browser"
import * as SwaggerSocketClient from "effect-swaggersocket/SwaggerSocketClient"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Promises from "../../src/promise/browser.ts"
import { chunks, type Item, MiB, window as sendWindow } from "./content.ts"

export interface Client {
  readonly call: (id: number) => Promise<Item>
  /** Answers with how many bytes have arrived. */
  readonly up: (body: Uint8Array<ArrayBuffer>) => Promise<number>
  readonly down: (size: number) => Promise<number>
  readonly close: () => Promise<unknown>
}

const byFetch = (fetch: typeof globalThis.fetch, base: string, close: () => Promise<unknown>): Client => ({
  call: async (id) => await (await fetch(`${base}/item/${id}`)).json() as Item,
  up: async (body) => await (await fetch(`${base}/up`, { method: "POST", body })).json() as number,
  down: async (size) => {
    const reader = (await fetch(`${base}/down/${size}`)).body!.getReader()
    let length = 0
    for (let part = await reader.read(); !part.done; part = await reader.read()) length += part.value.length
    return length
  },
  close
})

const nothing = () => Promise.resolve()

const http = async (): Promise<Client> => byFetch(globalThis.fetch.bind(globalThis), "", nothing)

const promises = async (hub: string): Promise<Client> => {
  const { close, fetch } = await Promises.connect(hub)
  return byFetch(fetch, "", () => close())
}

/** In a frame, as the page itself is not to be controlled. */
const serviceWorker = async (hub: string): Promise<Client> => {
  await navigator.serviceWorker.register(`/sw/worker.js?hub=${encodeURIComponent(hub)}`)
  const frame = document.createElement("iframe")
  frame.src = "/sw/frame"
  document.body.append(frame)
  await new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }))
  const inner = frame.contentWindow as unknown as typeof globalThis
  while (inner.navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 20))
  return byFetch(inner.fetch.bind(inner), "/sw", async () => frame.remove())
}

const effect = async (hub: string): Promise<Client> => {
  const runtime = ManagedRuntime.make(
    ApiClient.layer.pipe(
      Layer.provideMerge(SwaggerSocketClient.layer({ url: hub, waitForConnection: true })),
      Layer.provide(BrowserSwaggerSocket.layerWebSocketConstructor)
    )
  )
  const client = await runtime.runPromise(HttpClient.HttpClient)
  return {
    call: (id) =>
      runtime.runPromise(Effect.flatMap(client.get(`/item/${id}`), ({ json }) => json)) as unknown as Promise<Item>,
    up: (body) =>
      runtime.runPromise(
        Effect.flatMap(client.post("/up", { body: HttpBody.uint8Array(body) }), ({ json }) => json)
      ) as unknown as Promise<number>,
    down: (size) =>
      runtime.runPromise(
        Effect.flatMap(
          client.get(`/down/${size}`),
          ({ stream }) => Stream.runFold(stream, () => 0, (length, part) => length + part.length)
        )
      ),
    close: () => runtime.dispose()
  }
}

const webSocket = async (_hub: string, raw: string): Promise<Client> => {
  const socket = new WebSocket(raw)
  socket.binaryType = "arraybuffer"
  await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }))
  const calls = new Map<number, (item: Item) => void>()
  let onBytes = (_length: number): void => {}
  let onAcknowledged = (_length: number): void => {}
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data !== "string") return onBytes(data.byteLength)
    const message = JSON.parse(data) as { readonly item: Item } | { readonly received: number }
    if ("received" in message) return onAcknowledged(message.received)
    calls.get(message.item.id)!(message.item)
    calls.delete(message.item.id)
  }
  return {
    call: (id) =>
      new Promise((resolve) => {
        calls.set(id, resolve)
        socket.send(JSON.stringify({ id }))
      }),
    up: async (body) => {
      socket.send(JSON.stringify({ up: body.length }))
      const progress = { received: 0, wake: (): void => {} }
      onAcknowledged = (length) => {
        progress.received = length
        progress.wake()
      }
      const until = async (count: number): Promise<void> => {
        while (progress.received < count) {
          await new Promise<void>((resolve) => {
            progress.wake = resolve
          })
        }
      }
      let sent = 0
      for (const { length } of chunks(body.length)) {
        socket.send(body.subarray(sent, sent + length))
        sent += length
        await until(sent - sendWindow)
      }
      await until(sent)
      return progress.received
    },
    down: (size) =>
      new Promise((resolve) => {
        let length = 0
        onBytes = (count) => {
          const acknowledged = Math.floor(length / MiB)
          length += count
          if (Math.floor(length / MiB) > acknowledged) socket.send(JSON.stringify({ received: length }))
          if (length === size) resolve(length)
        }
        socket.send(JSON.stringify({ down: size }))
      }),
    close: async () => socket.close()
  }
}

export const ways: Readonly<Record<string, (hub: string, raw: string) => Promise<Client>>> = {
  "WebSocket": webSocket,
  "HTTP/1.1 `fetch`": http,
  "`fetch` of `connect`": promises,
  "`HttpClient` of `ApiClient.layer`": effect,
  "plain `fetch`, by a service worker": serviceWorker
}

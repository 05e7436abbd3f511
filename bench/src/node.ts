/**
 * What the peers without Effect share.
 */
import { once } from "node:events"
import type { AddressInfo, Server } from "node:net"
import type { Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { WebSocket } from "ws"
import { BodyCheck } from "./content.ts"

export const portOf = (server: { readonly address: Server["address"] }): number =>
  (server.address() as AddressInfo).port

/** Resolves with the port that the server has got. */
export const listen = async (server: Server): Promise<number> => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return portOf(server)
}

export const connectWebSocket = async (port: number): Promise<WebSocket> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`)
  // A connection that is lost would be waited for
  socket.on("close", () => process.exit(1))
  await once(socket, "open")
  return socket
}

/** Sends messages and waits while more than a MiB has not left the process. */
export const sendAll = async (socket: WebSocket, messages: Iterable<string | Uint8Array>): Promise<void> => {
  for (const message of messages) {
    if (socket.bufferedAmount < 1 << 20) socket.send(message)
    else await new Promise((resolve) => socket.send(message, resolve))
  }
}

/** Writes chunks as fast as they are taken. */
export const writeAll = (chunks: Iterable<Uint8Array>, to: Writable): Promise<void> => pipeline(chunks, to)

export const receiveAll = async (
  chunks: AsyncIterable<Uint8Array>,
  receive: (chunk: Uint8Array) => void
): Promise<void> => {
  for await (const chunk of chunks) receive(chunk)
}

export const lengthOf = async (chunks: AsyncIterable<Uint8Array>): Promise<number> => {
  const check = new BodyCheck()
  await receiveAll(chunks, (chunk) => check.add(chunk))
  return check.length
}

/** A web stream that makes its elements when they are asked for. */
export const streamOf = <A>(elements: Iterator<A>): ReadableStream<A> =>
  new ReadableStream({
    pull(controller) {
      const { done, value } = elements.next()
      if (done === true) controller.close()
      else controller.enqueue(value)
    }
  })

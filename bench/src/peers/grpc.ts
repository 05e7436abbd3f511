import {
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  type ServerWritableStream
} from "@grpc/grpc-js"
import { once } from "node:events"
import { answer, type Body, BodyCheck, chunks, encodedItems, headers, type Item } from "../content.ts"
import { type Peer, promised } from "../peer.ts"

const json = {
  serialize: (value: unknown): Buffer => Buffer.from(JSON.stringify(value)),
  deserialize: (bytes: Buffer) => JSON.parse(String(bytes))
}
const bytes = { serialize: (value: Buffer): Buffer => value, deserialize: (value: Buffer): Buffer => value }

const method = (name: string, request: typeof json | typeof bytes, response: typeof json | typeof bytes) => ({
  path: `/bench/${name}`,
  requestStream: name === "up",
  responseStream: name === "down" || name === "items",
  requestSerialize: request.serialize,
  requestDeserialize: request.deserialize,
  responseSerialize: response.serialize,
  responseDeserialize: response.deserialize
})

const service = {
  small: method("small", json, json),
  down: method("down", json, bytes),
  up: method("up", bytes, json),
  items: method("items", json, bytes)
}

/** Writes as fast as the flow control of HTTP/2 lets it. */
const writeAll = async (
  to: ServerWritableStream<unknown, Buffer> | ClientWritableStream<Buffer>,
  messages: Iterable<Buffer>
) => {
  for (const message of messages) {
    if (!to.write(message)) await once(to, "drain")
  }
  to.end()
}

const small: handleUnaryCall<number, Item> = (call, callback) =>
  callback(null, answer(call.request, { "x-request-id": call.metadata.get("x-request-id")[0] }))
const down: handleServerStreamingCall<Body, Buffer> = (call) => void writeAll(call, chunks(call.request))
const items: handleServerStreamingCall<number, Buffer> = (call) =>
  void writeAll(call, encodedItems(call.request, json.serialize))
const up: handleClientStreamingCall<Buffer, number> = (call, callback) => {
  const check = new BodyCheck()
  call.on("data", (chunk: Buffer) => check.add(chunk))
  call.on("end", () => callback(null, check.length))
}

type Callback<A> = (error: Error | null, value?: A) => void

interface Client {
  readonly small: (id: number, metadata: Metadata, callback: Callback<Item>) => void
  readonly down: (body: Body) => ClientReadableStream<Buffer>
  readonly up: (callback: Callback<number>) => ClientWritableStream<Buffer>
  readonly items: (count: number) => ClientReadableStream<Buffer>
}

const read = (stream: ClientReadableStream<Buffer>, receive: (data: Buffer) => void): Promise<void> =>
  new Promise((resolve, reject) => stream.on("data", receive).on("end", resolve).on("error", reject))

const peer: Peer = {
  title: "`@grpc/grpc-js`, which is gRPC over HTTP/2; JSON for messages, bodies as streams of bytes",

  async serve() {
    const server = new Server()
    server.addService(service, { small, down, items, up })
    return new Promise((resolve, reject) =>
      server.bindAsync(
        "127.0.0.1:0",
        ServerCredentials.createInsecure(),
        (error, port) => error === null ? resolve(port) : reject(error)
      )
    )
  },

  async connect(port) {
    const Bench = makeGenericClientConstructor(service, "bench")
    const client = new Bench(`127.0.0.1:${port}`, credentials.createInsecure()) as unknown as Client
    return {
      small: promised((id) =>
        new Promise((resolve, reject) => {
          const metadata = new Metadata()
          for (const [name, value] of Object.entries(headers(id))) metadata.set(name, value)
          client.small(id, metadata, (error, item) => error === null ? resolve(item!) : reject(error))
        })
      ),
      down: (body, receive) => read(client.down(body), receive),
      up: (body) =>
        new Promise((resolve, reject) => {
          const call = client.up((error, length) => error === null ? resolve(length!) : reject(error))
          writeAll(call, chunks(body)).catch(reject)
        }),
      items: (count, receive) => read(client.items(count), (data) => receive(json.deserialize(data)))
    }
  }
}

export default peer

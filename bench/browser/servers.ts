/**
 * The servers of the ways: Node's own for HTTP/1.1 and the page, a raw WebSocket, and a hub.
 */
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as SwaggerSocketServer from "effect-swaggersocket/SwaggerSocketServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import * as WS from "ws"
import { chunks, item, MiB, type Report, window } from "./content.ts"

const quiet = { disableLogger: true, disableListenLog: true } as const

// --- HTTP/1.1 and the page --------------------------------------------------------------------------------------------

const lengthOf = async (request: IncomingMessage): Promise<number> => {
  let length = 0
  for await (const part of request) length += (part as Buffer).length
  return length
}

const answer = async (
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, string>,
  onReport: (report: Report) => void
): Promise<void> => {
  const [, name = "", argument = ""] = request.url!.split("?")[0]!.split("/")
  const file = files.get(request.url!.split("?")[0]!)
  if (file !== undefined) {
    response.setHeader("content-type", request.url!.includes(".js") ? "text/javascript" : "text/html")
    return void response.end(file)
  }
  switch (name) {
    case "item":
      response.setHeader("content-type", "application/json")
      return void response.end(JSON.stringify(item(Number(argument))))
    case "up":
      return void response.end(String(await lengthOf(request)))
    case "down":
      response.setHeader("content-length", argument)
      return await pipeline(Readable.from(chunks(Number(argument)), { objectMode: false }), response)
    case "report": {
      const parts: Array<Buffer> = []
      for await (const part of request) parts.push(part as Buffer)
      onReport(JSON.parse(Buffer.concat(parts).toString()) as Report)
      return void response.end()
    }
    default:
      response.statusCode = 404
      return void response.end()
  }
}

/** Serves files by their paths, and the API; answers its origin. */
export const servePage = async (
  files: ReadonlyMap<string, string>,
  onReport: (report: Report) => void
): Promise<string> => {
  const server = createServer((request, response) => {
    answer(request, response, files, onReport).catch(() => response.destroy())
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

// --- a raw WebSocket --------------------------------------------------------------------------------------------------

const send = async (socket: WS.WebSocket, size: number, acknowledged: () => Promise<number>): Promise<void> => {
  let sent = 0
  let received = 0
  for (const chunk of chunks(size)) {
    socket.send(chunk)
    sent += chunk.length
    while (sent - received > window) received = await acknowledged()
  }
}

export const serveWebSocket = async (): Promise<string> => {
  const server = new WS.WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
  server.on("connection", (socket) => {
    let upload = { size: 0, length: 0 }
    let acknowledge = (_length: number): void => {}
    const acknowledged = () =>
      new Promise<number>((resolve) => {
        acknowledge = resolve
      })
    socket.on("message", (data: Buffer, isBinary) => {
      if (isBinary) {
        const before = Math.floor(upload.length / MiB)
        upload.length += data.length
        if (Math.floor(upload.length / MiB) > before || upload.length === upload.size) {
          socket.send(JSON.stringify({ received: upload.length }))
        }
        return
      }
      const message = JSON.parse(String(data)) as { id?: number; up?: number; down?: number; received?: number }
      if (message.id !== undefined) socket.send(JSON.stringify({ item: item(message.id) }))
      if (message.up !== undefined) upload = { size: message.up, length: 0 }
      if (message.down !== undefined) void send(socket, message.down, acknowledged)
      if (message.received !== undefined) acknowledge(message.received)
    })
  })
  await once(server, "listening")
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

// --- the hub ----------------------------------------------------------------------------------------------------------

class Pages extends SwaggerSocketServer.Service<Pages>()("bench/browser/Pages") {}

const routes = (prefix: "" | "/sw") =>
  Layer.mergeAll(
    HttpRouter.add(
      "GET",
      `${prefix}/item/:id`,
      Effect.map(HttpRouter.params, ({ id }) => HttpServerResponse.jsonUnsafe(item(Number(id))))
    ),
    HttpRouter.add("POST", `${prefix}/up`, (request) =>
      Effect.map(
        Stream.runFold(request.stream, () => 0, (length, part) => length + part.length),
        (length) => HttpServerResponse.jsonUnsafe(length)
      )),
    HttpRouter.add(
      "GET",
      `${prefix}/down/:size`,
      Effect.map(
        HttpRouter.params,
        ({ size }) => HttpServerResponse.stream(Stream.fromIterable(chunks(Number(size)), { chunkSize: 1 }))
      )
    )
  )

/** Pages of an origin may connect; answers where. */
export const serveHub = Effect.fnUntraced(function*(origin: string) {
  const context = yield* Layer.build(
    HttpRouter.serve(Layer.merge(routes(""), routes("/sw")), quiet).pipe(
      Layer.provide(ApiServer.layerServer(Pages)),
      Layer.provideMerge(HttpRouter.serve(Pages.layer({ path: "/socket", origins: [origin] }), quiet)),
      Layer.provideMerge(NodeSwaggerSocket.layerHttpServer({ host: "127.0.0.1", port: 0 }))
    )
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  if (!("port" in address)) return yield* Effect.die("not a TCP address")
  return `ws://127.0.0.1:${address.port}/socket`
})

/**
 * Peers whose requests go on to an HTTP/1.1 server: what they send must stay one request there.
 */
import { assert, describe } from "@effect/vitest"
import * as ApiServer from "effect-swaggersocket/ApiServer"
import * as NodeSwaggerSocket from "effect-swaggersocket/node"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { once } from "node:events"
import * as Net from "node:net"
import { data, request } from "../support/frames.ts"
import { hostile } from "../support/hubUnderAttack.ts"

/** Answers each head with 200, and keeps all that it has received. */
const listen = Effect.acquireRelease(
  Effect.promise(async () => {
    const received: Array<string> = []
    const server = Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.on("data", (bytes) => {
        received.push(bytes.toString("latin1"))
        if (received.at(-1)!.includes("GET /after")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      })
    })
    await once(server.listen(0, "127.0.0.1"), "listening")
    return { received, server, url: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}` }
  }),
  ({ server }) => Effect.sync(() => server.close())
)

describe("server behind a proxy", () => {
  hostile(
    "a body that is longer than its content-length brings no second request to the server",
    (hub) =>
      Effect.gen(function*() {
        const { received, url } = yield* listen
        const peer = yield* hub.dial()
        const { connectionId } = yield* peer.handshake({ settings: { headTableSize: 0 } })
        const connection = yield* hub.server.awaitConnection(({ id }) => id === connectionId)
        yield* Layer.build(
          Layer.provide(HttpServer.serve(NodeSwaggerSocket.proxy(url)), ApiServer.layerConnection(connection))
        )
        yield* peer.sendFrames(
          request(1, "/first", { method: "POST", end: false, fields: [["content-length", "5"]] }),
          data(1, "hello"),
          data(1, "GET /second HTTP/1.1\r\nhost: a\r\n\r\n", true)
        )
        yield* peer.expectFrame("Reset", 1)
        yield* peer.sendFrames(request(3, "/after"))
        assert.strictEqual((yield* peer.expectResponse(3)).status, 200)
        assert.notInclude(received.join(""), "/second")
      })
  )
})
